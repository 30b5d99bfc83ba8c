package main

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/testscript"

	"weft/cmd/weft/config"
	"weft/cmd/weft/metrics"
	"weft/examples/lab"
	"weft/examples/lab/labtest"
)

var update = flag.Bool("update", false, "write the generated tables anew")

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"weft": main})
}

// TestScripts runs the commands as a user does. In a script whose name begins
// with kernel, `node CMD` runs a command in a network namespace that belongs to
// the script; process_test.go has what else a script may do there.
func TestScripts(t *testing.T) {
	examples, err := filepath.Abs("../../examples")
	if err != nil {
		t.Fatal(err)
	}
	testscript.Run(t, testscript.Params{
		Dir: "testdata",
		Setup: func(env *testscript.Env) error {
			env.Setenv("EXAMPLES", examples)
			env.Setenv("WEFT_HISTORY", filepath.Join(env.WorkDir, "history"))
			env.Setenv("WEFT_SOCKET", filepath.Join(env.WorkDir, "weft.sock"))
			env.Setenv("WEFT_LISTEN", "")
			if strings.Contains(filepath.Base(env.WorkDir), "kernel") {
				env.Values["node"] = labtest.Scratch(t)
				env.Values["processes"] = newProcesses(env)
			}
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"node": inNode, "code": exitsWith, "start": start, "await": await, "signal": sendSignal, "finish": finish,
		},
	})
}

// inNode runs a command in the script's namespace.
func inNode(ts *testscript.TestScript, neg bool, args []string) {
	ns := ts.Value("node").(*lab.Namespace)
	err := ns.Do(func() error { return execute(ts, args) })
	if (err != nil) != neg {
		ts.Fatalf("%v: %v", args, err)
	}
}

// exitsWith runs weft, in the script's namespace if it has one, and compares the
// exit code.
func exitsWith(ts *testscript.TestScript, _ bool, args []string) {
	run := func() error { return execute(ts, args[1:]) }
	if ns, ok := ts.Value("node").(*lab.Namespace); ok {
		inside := run
		run = func() error { return ns.Do(inside) }
	}
	err := run()
	code := 0
	if exit, ok := err.(*exec.ExitError); ok {
		code = exit.ExitCode()
	} else if err != nil {
		ts.Fatalf("%v: %v", args, err)
	}
	if fmt.Sprint(code) != args[0] {
		ts.Fatalf("%v: exit code %d, want %s", args[1:], code, args[0])
	}
}

func execute(ts *testscript.TestScript, args []string) error {
	cmd := command(ts, args)
	cmd.Stdout, cmd.Stderr = ts.Stdout(), ts.Stderr()
	return cmd.Run()
}

// command is a command with an environment of its own, so that nothing of the
// machine's weft is touched.
func command(ts *testscript.TestScript, args []string) *exec.Cmd {
	path := strings.TrimPrefix(args[0], "./")
	for _, dir := range filepath.SplitList(ts.Getenv("PATH")) {
		if found := filepath.Join(dir, path); !strings.Contains(path, "/") {
			if _, err := os.Stat(found); err == nil {
				path = found
				break
			}
		}
	}
	cmd := exec.Command(path, args[1:]...)
	cmd.Dir = ts.Getenv("WORK")
	cmd.Env = []string{
		"PATH=" + ts.Getenv("PATH"), "HOME=" + cmd.Dir,
		"WEFT_HISTORY=" + filepath.Join(cmd.Dir, "history"), "WEFT_SOCKET=" + filepath.Join(cmd.Dir, "weft.sock"), "WEFT_LOCK=" + filepath.Join(cmd.Dir, "apply.lock"),
	}
	return cmd
}

// TestReadme runs each command that the README, and those of examples, show with
// its output.
func TestReadme(t *testing.T) {
	t.Chdir("../..")
	for path, least := range map[string]int{"README.md": 2, "examples/README.md": 2, "examples/config/README.md": 1} {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		blocks := strings.Split(string(text), "```console\n")[1:]
		for _, block := range blocks {
			block, _, _ := strings.Cut(block, "```")
			command, output, _ := strings.Cut(block, "\n")
			args := strings.Fields(strings.TrimPrefix(command, "$ weft "))
			var stdout, stderr bytes.Buffer
			if code := run(context.Background(), args, strings.NewReader(""), &stdout, &stderr); code != 0 {
				t.Errorf("%s: %s: exit code %d: %s", path, command, code, &stderr)
			}
			if diff := cmp.Diff(output, stdout.String()); diff != "" {
				t.Errorf("%s: %s: -shown +output\n%s", path, command, diff)
			}
		}
		if len(blocks) < least {
			t.Errorf("%s shows %d commands, want at least %d", path, len(blocks), least)
		}
	}
}

// TestGallery runs each command of weft that the tables of the examples name, and
// looks for folders that they forget.
func TestGallery(t *testing.T) {
	t.Chdir("../..")
	text, err := os.ReadFile("examples/README.md")
	if err != nil {
		t.Fatal(err)
	}
	found := regexp.MustCompile("\\| `weft ([^`]*)`").FindAllStringSubmatch(string(text), -1)
	for _, command := range found {
		var stdout, stderr bytes.Buffer
		if code := run(t.Context(), strings.Fields(command[1]), nil, &stdout, &stderr); code != 0 || stdout.Len() == 0 {
			t.Errorf("weft %s: exit code %d: %s", command[1], code, &stderr)
		}
	}
	if len(found) < 9 {
		t.Errorf("%d commands, want at least 9", len(found))
	}
	folders, err := os.ReadDir("examples")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range folders {
		if f.IsDir() && !strings.Contains(string(text), "`"+f.Name()) {
			t.Errorf("the gallery does not tell of %s", f.Name())
		}
	}
}

// TestTroubleshooting looks for symptoms that no script plays, and the other way
// round.
func TestTroubleshooting(t *testing.T) {
	symptoms := func(path string) []string {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		list := regexp.MustCompile("(?m)^## .*$").FindAllString(string(text), -1)
		slices.Sort(list)
		return list
	}
	told := symptoms("../../examples/TROUBLESHOOTING.md")
	if diff := cmp.Diff(told, symptoms("testdata/kernel-troubleshooting.txtar")); diff != "" || len(told) < 10 {
		t.Errorf("%d symptoms; -told +played\n%s", len(told), diff)
	}
}

// TestTables compares the tables that say what can be set and what is measured
// with the code.
func TestTables(t *testing.T) {
	for name, table := range map[string]func() string{"config": configTable, "prometheus": metricsTable} {
		path := filepath.Join("../../examples", name, "README.md")
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		before, rest, ok := strings.Cut(string(text), "<!-- table -->\n")
		_, after, end := strings.Cut(rest, "<!-- /table -->")
		if !ok || !end {
			t.Fatalf("%s has no place for the table", path)
		}
		want := before + "<!-- table -->\n" + table() + "<!-- /table -->" + after
		if *update {
			if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
				t.Fatal(err)
			}
		} else if diff := cmp.Diff(want, string(text)); diff != "" {
			t.Errorf("%s is not what the code says (run the test with -update): -code +file\n%s", path, diff)
		}
	}
}

func configTable() string {
	table := "| key | default | what it is | flag | environment |\n|---|---|---|---|---|\n"
	for _, k := range config.Keys() {
		if k.FileOnly {
			table += fmt.Sprintf("| `%s` | | %s | | |\n", k.Name, k.Doc)
			continue
		}
		table += fmt.Sprintf("| `%s` | %s | %s | `--%s` | `%s` |\n", k.Name, k.Default, k.Doc, k.Flag(), k.Env())
	}
	return table
}

func metricsTable() string {
	table := "| metric | labels | what it is |\n|---|---|---|\n"
	for _, d := range metrics.Docs() {
		table += fmt.Sprintf("| `%s` | %s | %s |\n", d.Name, strings.Join(d.Labels, ", "), d.Help)
	}
	return table
}

// TestExampleConfigs checks each configuration under examples, and the one that
// the README shows.
func TestExampleConfigs(t *testing.T) {
	paths, err := filepath.Glob("../../examples/config/*.yaml")
	if err != nil || len(paths) == 0 {
		t.Fatalf("no example configurations: %v", err)
	}
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, block, _ := strings.Cut(string(readme), "```yaml\n")
	block, _, _ = strings.Cut(block, "```")
	shown := filepath.Join(t.TempDir(), "readme.yaml")
	if err := os.WriteFile(shown, []byte(block), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, path := range append(paths, shown) {
		var stdout, stderr bytes.Buffer
		if code := run(t.Context(), []string{"config", "check", "--config", path}, nil, &stdout, &stderr); code != 0 {
			t.Errorf("%s: exit code %d: %s", path, code, &stderr)
		}
	}
}
