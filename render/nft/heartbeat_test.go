package nft_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
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
					if left := time.Duration(e.Expiration) * time.Millisecond; !e.End && (left > timeout || left < timeout-200*time.Millisecond) {
						t.Errorf("element %x ends in %s, want almost %s", e.Key, left, timeout)
					}
				}
			}
			beat(time.Minute)
			time.Sleep(250 * time.Millisecond)
			beat(time.Minute)
			beat(250 * time.Millisecond)
			time.Sleep(260 * time.Millisecond)
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
		if e := next(t, events); !e.Own || len(e.Changes) < 2 {
			t.Errorf("event = %+v, want an own one of a deletion and an addition", e)
		}
	}
	silent(t, events)
}
