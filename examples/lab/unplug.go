package lab

import "fmt"

// Unplug takes the node's cable out of the switch, as a machine that lost its power
// is for the others, or puts it back in. Inside of the node nothing changes.
func (l *Lab) Unplug(n *Node, out bool) error {
	sw, err := openLinks(l.namespaces[0])
	if err != nil {
		return err
	}
	defer sw.close()
	port, err := sw.h.LinkByName(n.Host.Host)
	if err != nil {
		return fmt.Errorf("switch port of %s: %w", n.Host.Host, err)
	}
	set := sw.h.LinkSetUp
	if out {
		set = sw.h.LinkSetDown
	}
	if err := set(port); err != nil {
		return fmt.Errorf("switch port of %s: %w", n.Host.Host, err)
	}
	return nil
}
