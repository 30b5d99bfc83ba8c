package follow
import ("context";"log/slog";"time")
type Follower struct{ Paths []string; Poll, Settle time.Duration; Log *slog.Logger }
func (f *Follower) Run(ctx context.Context, changed func()) error { <-ctx.Done(); return nil }
