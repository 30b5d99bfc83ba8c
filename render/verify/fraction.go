package verify

import (
	"math/big"
	"math/bits"
)

// Fraction is an exact rational number from 0 to 1. It is kept in machine words
// and only grows into a big.Rat when those overflow.
type Fraction struct {
	num, den uint64
	big      *big.Rat
}

// NewFraction is n/d in lowest terms; d must not be 0.
func NewFraction(n, d uint64) Fraction {
	g := gcd(n, d)
	return Fraction{num: n / g, den: d / g}
}

func gcd(a, b uint64) uint64 {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}

// Rat is the fraction as a big.Rat, which the caller must not change.
func (f Fraction) Rat() *big.Rat {
	if f.big != nil {
		return f.big
	}
	if f.den == 0 {
		return new(big.Rat)
	}
	r := new(big.Rat).SetInt(new(big.Int).SetUint64(f.num))
	return r.Quo(r, new(big.Rat).SetInt(new(big.Int).SetUint64(f.den)))
}

// Float is the nearest float64.
func (f Fraction) Float() float64 {
	if f.big != nil {
		x, _ := f.big.Float64()
		return x
	}
	if f.den == 0 {
		return 0
	}
	return float64(f.num) / float64(f.den)
}

// String is the fraction as n/d, or n where d is 1.
func (f Fraction) String() string { return f.Rat().RatString() }

// IsZero reports whether the fraction is 0.
func (f Fraction) IsZero() bool { return f.big == nil && f.num == 0 }

func (f Fraction) equal(g Fraction) bool {
	if f.big == nil && g.big == nil && f.den != 0 && g.den != 0 {
		return f.num == g.num && f.den == g.den
	}
	return f.Rat().Cmp(g.Rat()) == 0
}

func (f Fraction) mul(g Fraction) Fraction {
	if f.big == nil && g.big == nil {
		a, b := gcd(f.num, g.den), gcd(g.num, f.den)
		if a > 0 && b > 0 {
			hn, n := bits.Mul64(f.num/a, g.num/b)
			hd, d := bits.Mul64(f.den/b, g.den/a)
			if hn == 0 && hd == 0 {
				return Fraction{num: n, den: d}
			}
		}
	}
	return Fraction{big: new(big.Rat).Mul(f.Rat(), g.Rat())}
}

func (f Fraction) add(g Fraction) Fraction {
	if f.big == nil && f.den == 0 {
		return g
	}
	if f.big == nil && g.big == nil && g.den != 0 {
		k := gcd(f.den, g.den)
		h1, a := bits.Mul64(f.num, g.den/k)
		h2, b := bits.Mul64(g.num, f.den/k)
		h3, d := bits.Mul64(f.den, g.den/k)
		n, carry := bits.Add64(a, b, 0)
		if h1|h2|h3|carry == 0 {
			return NewFraction(n, d)
		}
	}
	return Fraction{big: new(big.Rat).Add(f.Rat(), g.Rat())}
}
