package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"weft/examples/lab/labtest"
)

// shells complete a line as their users press the tabulator: each is the shell
// itself, with what `weft completion` writes for it.
func shells() map[string]func(t *testing.T, home, line string) []string {
	return map[string]func(t *testing.T, home, line string) []string{"bash": inBash, "fish": inFish, "zsh": inZsh}
}

// bashCompletion are the functions that the script for bash builds on.
const bashCompletion = "/usr/share/bash-completion/bash_completion"

func TestCompletion(t *testing.T) {
	for _, tool := range []string{"bash", "fish", "zsh"} {
		labtest.RequireTool(t, tool)
	}
	if _, err := os.Stat(bashCompletion); err != nil {
		labtest.RequireTool(t, "bash-completion") // no program, but that says it
	}
	home := t.TempDir()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(self, filepath.Join(home, "weft")); err != nil { // the test is weft, too: see TestMain
		t.Fatal(err)
	}
	if err := os.CopyFS(filepath.Join(home, "states"), os.DirFS("../../examples/states")); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		line string
		want []string // sorted
	}{
		{"weft templates ", []string{"check", "init", "list"}},
		{"weft stat", []string{"state", "status"}},
		{"weft render --templ", []string{"--templates"}},
		{"weft run --log-level ", []string{"debug", "error", "info", "warn"}},
		{"weft run --policy l", []string{"latency", "latency-cpu", "local"}},
		{"weft templates init mine --from ", []string{"cascade", "simplified"}},
		{"weft render --set affin", []string{"affinity=", "affinitySeed="}},
		{"weft explain --state states/three-endpoints.yaml riset/h", []string{"riset/hellopod-np-svc"}},
		{"weft explain --state states/three-endpoints.yaml tcp/", []string{"tcp/30000", "tcp/30100"}},
		{"weft state check states/three", []string{"states/three-endpoints.yaml"}},
		{"weft run ", nil},
	}
	for name, complete := range shells() {
		t.Run(name, func(t *testing.T) {
			for _, tt := range tests {
				got := complete(t, home, tt.line)
				slices.Sort(got)
				if got = slices.Compact(got); !slices.Equal(tt.want, got) {
					t.Errorf("%q: offers %q, want %q", tt.line, got, tt.want)
				}
			}
		})
	}
}

func inShell(t *testing.T, home string, command ...string) []string {
	t.Helper()
	cmd := exec.Command(command[0], command[1:]...)
	cmd.Dir = home
	cmd.Env = []string{"PATH=" + home + ":" + os.Getenv("PATH"), "HOME=" + home, "TERM=dumb", "WEFT_HISTORY="}
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %v\n%s%s", command, err, out, err.(*exec.ExitError).Stderr)
	}
	return strings.Fields(string(out))
}

// inBash types the line at a bash that has a terminal of its own, has readline
// insert all that it would offer (M-*), and takes the line that comes of it.
func inBash(t *testing.T, home, line string) []string {
	const setup = `
PS1=
source ` + bashCompletion + `
source <(weft completion bash)
give() { printf '%s\n' "$READLINE_LINE" >given; kill -KILL $$; }
bind -x '"\C-t": give'
: >ready
`
	const script = `
rm -f ready given
{
	for i in $(seq 200); do [ -e ready ] && break; sleep 0.05; done
	printf '%s\033*\024' "$1"
	for i in $(seq 200); do [ -s given ] && break; sleep 0.05; done
} | script -qec 'bash --noprofile --rcfile ./setup -i' /dev/null >/dev/null
cat given`
	if err := os.WriteFile(filepath.Join(home, "setup"), []byte(setup), 0o600); err != nil {
		t.Fatal(err)
	}
	words := strings.Fields(line)
	if !strings.HasSuffix(line, " ") {
		words = words[:len(words)-1]
	}
	return inShell(t, home, "sh", "-c", script, "sh", line)[len(words):]
}

func inFish(t *testing.T, home, line string) []string {
	const script = `weft completion fish | source; complete --do-complete $argv[1] | string replace -r '\t.*' ''; true`
	return inShell(t, home, "fish", "-c", script, line)
}

// inZsh types the line and a tabulator at a zsh that has a terminal of its own. What
// the completion adds to what zsh would show is written to a file, too.
func inZsh(t *testing.T, home, line string) []string {
	const setup = `
PROMPT=
autoload -Uz compinit && compinit -u -D
source <(weft completion zsh)
bindkey '^I' complete-word
zmodload zsh/zutil
compadd() {
	if (( ${@[(I)-[OAD]*]} )); then
		builtin compadd "$@"
		return
	fi
	local -a hits
	local -A begin
	builtin compadd -O hits "$@"
	zparseopts -E p:=begin
	for each in $hits; do
		print -r -- "$IPREFIX${begin[-p]}${each%% *}"
	done >>given
	builtin compadd "$@"
}
finish() { exit }
comppostfuncs=(finish)
print ready
`
	const script = `
zmodload zsh/zpty
: >given
zpty z zsh -f -i
zpty -w z 'source ./setup'
zpty -r z said '*ready*'
zpty -w -n z "$1"$'\t'
while zpty -r z said; do :; done
cat given`
	if err := os.WriteFile(filepath.Join(home, "setup"), []byte(setup), 0o600); err != nil {
		t.Fatal(err)
	}
	return inShell(t, home, "zsh", "-f", "-c", script, "zsh", line)
}
