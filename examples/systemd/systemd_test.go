// Package systemd tests the unit as it is read; examples/debian starts it.
package systemd

import (
	"os/exec"
	"strings"
	"testing"

	"weft/examples/lab/labtest"
)

// exposure is how much systemd may say that the unit leaves open, in tenths: 0 is
// nothing and 100 all. Most of ours is the network of the machine and the two
// capabilities, without which there would be no weft.
const exposure = "25"

func TestExposure(t *testing.T) {
	analyze := labtest.RequireTool(t, "systemd-analyze")
	out, err := exec.Command(analyze, "security", "--no-pager", "--offline=true", "--threshold="+exposure, "weft.service").CombinedOutput()
	if err != nil {
		t.Errorf("more than %s tenths of exposure: %v\n%s", exposure, err, out)
	}
	if !strings.Contains(string(out), "Overall exposure level for weft.service") {
		t.Errorf("systemd does not say how much: %s", out)
	}
}
