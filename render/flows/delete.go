package flows

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/hashicorp/go-multierror"
	"github.com/mdlayher/netlink"
	"github.com/ti-mo/conntrack"
	"github.com/ti-mo/netfilter"
	"golang.org/x/sys/unix"

	"weft/state"
)

// entry is what an entry of the kernel's table has in common with a [Flow].
type entry struct {
	to   netip.AddrPort // original destination
	from netip.AddrPort // source of the answers
}

// Delete deletes the entries of the flows from the connection tracking of the
// calling thread's network namespace, and returns how many those were. It reads
// the table once for each address family that the flows have. An entry that
// ends by itself meanwhile is no error. After an error some entries may be left:
// calling it again with the same flows is always right.
//
// Only zone 0 is looked at, which is where weft's rules work; entries of other
// zones are somebody else's.
//
// It takes CAP_NET_ADMIN.
func Delete(ctx context.Context, flows []Flow) (deleted int, err error) {
	wanted := index(flows)
	var all *multierror.Error
	for _, family := range []netfilter.ProtoFamily{netfilter.ProtoIPv4, netfilter.ProtoIPv6} {
		n, err := deleteFamily(ctx, family, wanted[family])
		deleted += n
		if err != nil {
			all = multierror.Append(all, fmt.Errorf("delete stale flows: %w", err))
		}
	}
	return deleted, all.ErrorOrNil()
}

// index has the entries to delete of each family. Flows of TCP, which nobody
// should ask for, are passed over.
func index(flows []Flow) map[netfilter.ProtoFamily]map[entry]bool {
	wanted := map[netfilter.ProtoFamily]map[entry]bool{}
	for _, f := range flows {
		if f.Protocol != state.UDP {
			continue
		}
		family := netfilter.ProtoIPv6
		if f.Endpoint.Addr().Is4() {
			family = netfilter.ProtoIPv4
		}
		if wanted[family] == nil {
			wanted[family] = map[entry]bool{}
		}
		for _, a := range f.Addresses {
			wanted[family][entry{netip.AddrPortFrom(a, f.NodePort), f.Endpoint}] = true
		}
	}
	return wanted
}

func deleteFamily(ctx context.Context, family netfilter.ProtoFamily, wanted map[entry]bool) (int, error) {
	if len(wanted) == 0 {
		return 0, nil
	}
	found, err := find(ctx, family, wanted)
	if err != nil || len(found) == 0 {
		return 0, err
	}
	conn, err := conntrack.Dial(nil)
	if err != nil {
		return 0, fmt.Errorf("open netlink: %w", err)
	}
	defer conn.Close()
	deleted := 0
	var all *multierror.Error
	for _, f := range found {
		if err := ctx.Err(); err != nil {
			return deleted, multierror.Append(all, err).ErrorOrNil()
		}
		switch err := conn.Delete(byReply(f)); {
		case err == nil:
			deleted++
		case !errors.Is(err, unix.ENOENT):
			all = multierror.Append(all, fmt.Errorf("delete %v: %w", f.TupleOrig, err))
		}
	}
	return deleted, all.ErrorOrNil()
}

// byReply names an entry by the tuple of its answers. That tuple holds the
// endpoint, so that the deletion can never hit an entry that the same client
// made meanwhile, by way of the new rules. The original tuple is left without
// ports, which keeps it out of the request: the library looks at it for the
// family alone.
func byReply(f conntrack.Flow) conntrack.Flow {
	return conntrack.Flow{TupleOrig: conntrack.Tuple{IP: f.TupleOrig.IP}, TupleReply: f.TupleReply}
}

// find reads the table and returns the wanted entries.
func find(ctx context.Context, family netfilter.ProtoFamily, wanted map[entry]bool) ([]conntrack.Flow, error) {
	messages, err := dump(ctx, family, filter(wanted))
	if err != nil {
		return nil, fmt.Errorf("read the connection tracking table: %w", err)
	}
	var found []conntrack.Flow
	for _, m := range messages {
		var event conntrack.Event // entries of a dump have the form of events
		if err := event.Unmarshal(m); err != nil {
			return nil, fmt.Errorf("read an entry of the connection tracking table: %w", err)
		}
		if f := event.Flow; f != nil && isStale(f, wanted) {
			found = append(found, *f)
		}
	}
	return found, nil
}

// isStale does not rely on what the kernel was asked to leave out: kernels
// before 5.8 do not know of it and list everything.
func isStale(f *conntrack.Flow, wanted map[entry]bool) bool {
	to, from := f.TupleOrig, f.TupleReply
	return to.Proto.Protocol == unix.IPPROTO_UDP && f.Zone == 0 && to.Zone == 0 && from.Zone == 0 &&
		wanted[entry{
			netip.AddrPortFrom(to.IP.DestinationAddress, to.Proto.DestinationPort),
			netip.AddrPortFrom(from.IP.SourceAddress, from.Proto.SourcePort),
		}]
}

// patience limits the wait for the kernel, which answers at once: a dump of a
// million entries takes a second or two.
const patience = 30 * time.Second

// ctGet is IPCTNL_MSG_CT_GET.
const ctGet = 1

func dump(ctx context.Context, family netfilter.ProtoFamily, attributes []netfilter.Attribute) ([]netlink.Message, error) {
	request, err := netfilter.MarshalNetlink(netfilter.Header{
		SubsystemID: netfilter.NFSubsysCTNetlink, MessageType: ctGet,
		Family: family, Flags: netlink.Request | netlink.Dump,
	}, attributes)
	if err != nil {
		return nil, err
	}
	conn, err := netfilter.Dial(nil)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	defer context.AfterFunc(ctx, func() {
		_ = conn.SetDeadline(time.Unix(1, 0)) // fails only where it is closed already
	})()
	messages, err := conn.Query(request)
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	return messages, err
}
