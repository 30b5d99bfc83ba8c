package state
import ("time";"os";"path/filepath")
type Store struct{ path string }
func NewStore(path string) *Store { return &Store{path} }
func (s *Store) Write(st *State, now time.Time) (bool, error) { b, err := Encode(st); if err != nil { return false, err }; os.MkdirAll(filepath.Dir(s.path), 0o755); return true, os.WriteFile(s.path, b, 0o644) }
