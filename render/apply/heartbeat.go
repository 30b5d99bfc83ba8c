package apply

import (
	"context"
	"fmt"
	"strings"
	"time"

	"weft/render"
	"weft/render/nft"
	"weft/state"
)

// Renewals is how often a heartbeat is renewed within its timeout, so that two
// may fail.
const Renewals = 3

// Beat renews the elements of the set of the node's addresses. Adding one that
// is there does not renew it, and deleting one that has expired is an error, so
// each is added, deleted and added again, in one transaction.
func Beat(ctx context.Context, runner nft.Runner, st *state.State, vars render.Vars) error {
	err := runner.Load(ctx, beat(st, vars))
	if err != nil {
		return fmt.Errorf("renew the heartbeat: %w", err)
	}
	return nil
}

func beat(st *state.State, vars render.Vars) string {
	var b strings.Builder
	timeout := int(vars.Heartbeat() / time.Millisecond)
	for _, a := range st.Addresses {
		family := "ip6"
		if a.Is4() {
			family = "ip"
		}
		element := fmt.Sprintf("element %s %s %s { %s timeout %dms }\n", family, vars.Table(), vars.NodePortIPs(), a, timeout)
		b.WriteString("add " + element + "delete " + element + "add " + element)
	}
	return b.String()
}
