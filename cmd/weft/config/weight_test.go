package config

import "testing"

func TestNodeWeights(t *testing.T) {
	tests := []struct {
		name, text, want string
		bad              bool
	}{
		{"none", " ", "", false},
		{"two, sorted", "node-2=0.50, node-1=2", "node-1=2,node-2=0.5", false},
		{"0 drains", "a.example=0", "a.example=0", false},
		{"the same node twice", "a=1,a=2", "", true},
		{"negative", "a=-1", "", true},
		{"infinite", "a=Inf", "", true},
		{"no number", "a=NaN", "", true},
		{"no weight", "a", "", true},
		{"no node", "=1", "", true},
		{"a comma too many", "a=1,", "", true},
		{"no name of a node", "A_b=1", "", true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			n := NodeWeights{"before": 1}
			err := n.UnmarshalText([]byte(tt.text))
			if (err != nil) != tt.bad || err == nil && n.String() != tt.want {
				t.Errorf("got %q, %v", n, err)
			}
		})
	}
}
