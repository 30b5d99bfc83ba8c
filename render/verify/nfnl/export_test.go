package nfnl

// Known is how many expressions a Conn knows from lists before.
func Known(c *Conn) int { return len(c.decoder.exprs) }
