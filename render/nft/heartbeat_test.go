package nft_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"weft/examples/lab"
	"weft/examples/lab/labtest"
	"weft/render/nft"
	"weft/render/verify/nfnl"
)

func heart(t testing.TB, ns *lab.Namespace, own *nft.Own) *nft.Heart {
	t.Helper()
	var h *nft.Heart
	err := ns.Do(func() (err error) {
		h, err = nft.OpenHeart(own)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = h.Close() })
	return h
}

func listing(t *testing.T, ns *lab.Namespace, f nfnl.Family) []nfnl.Element {
	t.Helper()
	c, err := nfnl.Dial(ns.FD())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	list, err := c.Elements(t.Context(), f, "weft", "nodeport-ips")
	if err != nil {
		t.Fatal(err)
	}
	return list
}

var beats = []struct {
	name, flags string
	family      nfnl.Family
	typ         string
	addresses   []netip.Addr
	elements    int
}{
	{"IPv4", "timeout", nfnl.IPv4, "ipv4_addr", []netip.Addr{netip.MustParseAddr("10.34.4.141"), netip.MustParseAddr("10.34.4.241")}, 2},
	{"IPv6", "timeout", nfnl.IPv6, "ipv6_addr", []netip.Addr{netip.MustParseAddr("fd42::141")}, 1},
	{"inet", "timeout", nfnl.INet, "ipv6_addr", []netip.Addr{netip.MustParseAddr("fd42::141")}, 1},
	{"intervals", "timeout, interval", nfnl.IPv4, "ipv4_addr", []netip.Addr{netip.MustParseAddr("10.34.4.141"), netip.MustParseAddr("255.255.255.255")}, 3},
}

func setOf(family nfnl.Family, typ, flags string) string {
	return fmt.Sprintf("table %s weft {\n\tset nodeport-ips { type %s; flags %s; }\n}\n", family, typ, flags)
}

// TestBeat beats on an empty set, on a living element, and on an expired one.
func TestBeat(t *testing.T) {
	for _, tt := range beats {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			ns := labtest.Scratch(t)
			load(t, ns, setOf(tt.family, tt.typ, tt.flags))
			h := heart(t, ns, nil)
			beat := func(timeout time.Duration) {
				t.Helper()
				if err := h.Beat(t.Context(), tt.family, "weft", "nodeport-ips", tt.addresses, timeout); err != nil {
					t.Fatal(err)
				}
				list := listing(t, ns, tt.family)
				if len(list) < tt.elements {
					t.Fatalf("%d elements, want %d", len(list), tt.elements)
				}
				for _, e := range list {
					if left := time.Duration(e.Expiration) * time.Millisecond; !e.End && (left > timeout || left <= timeout/2) {
						t.Errorf("element %x ends in %s, want about %s", e.Key, left, timeout)
					}
				}
			}
			beat(time.Second)
			time.Sleep(500 * time.Millisecond)
			beat(time.Second)
			time.Sleep(1050 * time.Millisecond)
			if n := len(listing(t, ns, tt.family)); n > 0 && tt.flags == "timeout" {
				t.Fatalf("%d elements, want none before the last beat", n)
			}
			beat(time.Minute)
		})
	}
}

// TestBeatLooksLikeNft: nft reads the elements as those addresses alone.
func TestBeatLooksLikeNft(t *testing.T) {
	for _, tt := range beats {
		t.Run(tt.name, func(t *testing.T) {
			ns := labtest.Scratch(t)
			load(t, ns, setOf(tt.family, tt.typ, tt.flags))
			if err := heart(t, ns, nil).Beat(t.Context(), tt.family, "weft", "nodeport-ips", tt.addresses, time.Minute); err != nil {
				t.Fatal(err)
			}
			out, err := ns.Run("nft", "list", "set", tt.family.String(), "weft", "nodeport-ips")
			if err != nil {
				t.Fatal(err)
			}
			for _, a := range tt.addresses {
				if !strings.Contains(string(out), a.String()+" timeout 1m") {
					t.Errorf("listing = %s\nwant %s in it", out, a)
				}
			}
			if strings.Count(string(out), "expires") != len(tt.addresses) || strings.Contains(string(out), "10.34.4.141-") {
				t.Errorf("listing = %s\nwant %d elements", out, len(tt.addresses))
			}
		})
	}
}

func TestBeatRefused(t *testing.T) {
	here := []netip.Addr{netip.MustParseAddr("10.34.4.141")}
	tests := []struct {
		name, text string
		addresses  []netip.Addr
		want       error
	}{
		{"no table", "table ip other {\n}\n", here, unix.ENOENT},
		{"no set", "table ip weft {\n}\n", here, unix.ENOENT},
		{"set of another type", setOf(nfnl.IPv4, "ipv6_addr", "timeout"), here, unix.EINVAL},
		{"set without timeouts", setOf(nfnl.IPv4, "ipv4_addr", "interval"), here, unix.EINVAL},
		{"no addresses", "table ip other {\n}\n", nil, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			ns := labtest.Scratch(t)
			load(t, ns, tt.text)
			h := heart(t, ns, nil)
			if err := h.Beat(t.Context(), nfnl.IPv4, "weft", "nodeport-ips", tt.addresses, time.Minute); !errors.Is(err, tt.want) {
				t.Errorf("error = %v, want %v", err, tt.want)
			}
			load(t, ns, "flush ruleset\n"+setOf(nfnl.IPv4, "ipv4_addr", "timeout"))
			if err := h.Beat(t.Context(), nfnl.IPv4, "weft", "nodeport-ips", here, time.Minute); err != nil {
				t.Errorf("the next beat: %v", err)
			}
		})
	}
	t.Run("timeout and number", func(t *testing.T) {
		ns := labtest.Scratch(t)
		load(t, ns, setOf(nfnl.IPv6, "ipv6_addr", "timeout, interval"))
		h := heart(t, ns, nil)
		beat := func(n int, timeout time.Duration) error {
			list, a := []netip.Addr(nil), netip.MustParseAddr("fd42::")
			for range n {
				a = a.Next().Next()
				list = append(list, a)
			}
			return h.Beat(t.Context(), nfnl.IPv6, "weft", "nodeport-ips", list, timeout)
		}
		if err := beat(1, 999*time.Microsecond); err == nil {
			t.Error("a timeout of no millisecond is accepted")
		}
		if err := beat(513, time.Minute); err == nil {
			t.Error("too many addresses are accepted")
		}
		if err := beat(512, time.Minute); err != nil {
			t.Error(err)
		}
		if n := len(listing(t, ns, nfnl.IPv6)); n < 1024 {
			t.Errorf("%d elements, want 512 with their ends", n)
		}
	})
	t.Run("closed", func(t *testing.T) {
		h := heart(t, labtest.Scratch(t), nil)
		if err := h.Close(); err != nil {
			t.Fatal(err)
		}
		if err := h.Beat(t.Context(), nfnl.IPv4, "weft", "nodeport-ips", here, time.Minute); err == nil {
			t.Error("a closed heart beats")
		}
	})
	t.Run("context", func(t *testing.T) {
		ns := labtest.Scratch(t)
		h := heart(t, ns, nil)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := h.Beat(ctx, nfnl.IPv4, "weft", "nodeport-ips", here, time.Minute); !errors.Is(err, context.Canceled) {
			t.Errorf("error = %v, want the context's", err)
		}
	})
}

// TestBeatIsOneOwnTransaction also says that nobody can see the element absent:
// nothing is committed between the steps.
func TestBeatIsOneOwnTransaction(t *testing.T) {
	ns := labtest.Scratch(t)
	load(t, ns, watched)
	own := new(nft.Own)
	events := watch(t, ns, own)
	h := heart(t, ns, own)
	for range 3 {
		if err := h.Beat(t.Context(), nfnl.IPv4, "weft", "nodeport-ips", beats[0].addresses[:1], time.Minute); err != nil {
			t.Fatal(err)
		}
		if e := next(t, events); !e.Own || e.More < 2 {
			t.Errorf("event = %+v, want an own one of a deletion and an addition", e)
		}
	}
	silent(t, events)
}

// TestBeatHidesNothing sends packets while a heart beats as fast as it can: each
// must find the element.
func TestBeatHidesNothing(t *testing.T) {
	ns := labtest.Scratch(t)
	load(t, ns, `table ip weft {
	set nodeport-ips { type ipv4_addr; flags timeout; elements = { 127.0.0.1 timeout 60s } }
	counter found { }
	counter missed { }
	chain output {
		type filter hook output priority 0; policy accept;
		udp dport != 9 accept
		ip daddr @nodeport-ips counter name found drop
		counter name missed drop
	}
}
`)
	h := heart(t, ns, nil)
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	beaten := make(chan error, 1)
	count := 0
	go func() {
		for ctx.Err() == nil {
			if err := h.Beat(t.Context(), nfnl.IPv4, "weft", "nodeport-ips", []netip.Addr{netip.MustParseAddr("127.0.0.1")}, time.Minute); err != nil {
				beaten <- err
				return
			}
			count++
		}
		beaten <- nil
	}()
	if err := ns.Do(func() error { return send(ctx, "127.0.0.1:9") }); err != nil {
		t.Fatal(err)
	}
	if err := <-beaten; err != nil {
		t.Fatal(err)
	}
	out, err := ns.Run("nft", "list", "counters")
	if err != nil {
		t.Fatal(err)
	}
	found, missed := packets(t, string(out), "found"), packets(t, string(out), "missed")
	if missed != 0 || found < 1000 || count < 100 {
		t.Errorf("%d packets found the element and %d missed it in %d beats, want thousands and none", found, missed, count)
	}
	t.Logf("%d packets, %d beats", found, count)
}

// send sends packets that are dropped on their way out.
func send(ctx context.Context, to string) error {
	c, err := net.Dial("udp", to)
	if err != nil {
		return err
	}
	defer c.Close()
	for ctx.Err() == nil {
		if _, err := c.Write([]byte("x")); err != nil && !errors.Is(err, unix.EPERM) {
			return err
		}
	}
	return nil
}

func packets(t *testing.T, listing, counter string) int {
	t.Helper()
	m := regexp.MustCompile(`counter ` + counter + ` \{\s+packets (\d+)`).FindStringSubmatch(listing)
	if m == nil {
		t.Fatalf("no counter %s in %s", counter, listing)
	}
	n, err := strconv.Atoi(m[1])
	if err != nil {
		t.Fatal(err)
	}
	return n
}
