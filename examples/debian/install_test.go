package debian

import (
	"strings"
	"testing"
	"time"

	"weft/examples/lab/labtest"
)

const configuration = `vars:
  heartbeat: 20s
static:
  addresses: [192.0.2.1]
  services:
  - name: web
    nodePort: 30080
    endpoints:
    - {address: 198.51.100.1, port: 8080, weight: WEIGHT}
    - {address: 198.51.100.2, port: 8080}
`

func (m *machine) configure(weight, more string) {
	m.t.Helper()
	text := strings.Replace(configuration, "WEIGHT", weight, 1) + more
	m.shell("cat >/etc/weft/weft.yaml <<'END'\n" + text + "END")
}

// rules waits for a text in the kernel's rules.
func (m *machine) rules(text string) {
	m.t.Helper()
	m.within("rules with "+text, 20*time.Second, func() bool {
		out, _ := m.try("nft", "list", "ruleset")
		return strings.Contains(out, text)
	})
}

// life takes the package through all of its life on a machine with a systemd: it is
// installed, configured and started, restricted as its unit says, read anew, killed
// when it hangs, upgraded, removed and purged.
func life(t *testing.T, deb string) {
	labtest.RequireTool(t, "man")
	m := boot(t, deb)
	m.install()
	m.start()
	m.restricted()
	m.reloads()
	m.watched()
	m.upgrade()
	m.remove()
}

// install must start and enable nothing: there is nothing yet to steer.
func (m *machine) install() {
	m.run("dpkg", "-i", "/tmp/weft.deb")
	m.says("disabled", "systemctl", "is-enabled", "weft")
	m.says("inactive", "systemctl", "is-active", "weft")
	m.says("weft ", "weft", "version")
	m.says("Steer NodePort connections by shares", "whatis", "weft")
	m.says("__start_weft", "bash", "-c", "source /usr/share/bash-completion/bash_completion; _completion_loader weft; complete -p weft")
	m.says("/etc/weft/weft.yaml: good", "weft", "config", "check", "--config", "/etc/weft/weft.yaml")
	if out := m.run("nft", "list", "ruleset"); out != "" {
		m.t.Errorf("rules after the installation: %s", out)
	}
}

// start comes back when the first rules are proven.
func (m *machine) start() {
	m.configure("1", "")
	m.run("systemctl", "enable", "--now", "weft")
	m.says("enabled", "systemctl", "is-enabled", "weft")
	if got := m.property("StatusText"); got != "generation 1 proven" {
		m.t.Errorf("ready with the status %q", got)
	}
	m.rules("0-49 : 198.51.100.1")
	m.says("proven", "weft", "status")
	m.run("weft", "status", "--config", "/etc/weft/weft.yaml")
	m.run("test", "-S", "/run/weft/weft.sock")
	for _, path := range []string{"/livez", "/readyz", "/healthz"} {
		m.says("200 OK", "bash", "-c", `exec 3<>/dev/tcp/127.0.0.1/10289; printf 'GET `+path+` HTTP/1.0\r\nHost: localhost\r\n\r\n' >&3; cat <&3`)
	}
	if listens := m.run("ss", "-Htln"); strings.Count(listens, "LISTEN") != 1 || !strings.Contains(listens, " 127.0.0.1:10289 ") {
		m.t.Errorf("it listens to more than the loopback: %s", listens)
	}
	m.run("test", "-f", "/run/weft/history/0000000001")
}

// restricted looks at the process, since a unit that asks for a restriction does not
// have it everywhere, and has it do what needs the rights that were left.
func (m *machine) restricted() {
	pid := m.property("MainPID")
	const capabilities = "0000000000201000" // CAP_NET_ADMIN is 12, CAP_SYS_ADMIN 21
	for _, want := range []string{"CapEff:\t" + capabilities, "CapBnd:\t" + capabilities, "NoNewPrivs:\t1", "Seccomp:\t2"} {
		m.says(want, "cat", "/proc/"+pid+"/status")
	}
	inside := func(args ...string) []string { return append([]string{"nsenter", "-t", pid, "-m", "--"}, args...) }
	m.run(inside("touch", "/run/weft/touched")...)
	for _, path := range []string{"/usr/touched", "/etc/touched", "/etc/weft/touched", "/var/touched", "/sys/fs/cgroup/touched"} {
		m.fails(inside("touch", path)...)
	}
	m.fails(inside("sh", "-c", "echo 1 >/proc/sys/net/ipv4/ip_forward")...)
	m.shell("touch /root/secret")
	m.fails(inside("cat", "/root/secret")...)

	// Templates of somebody are tried in a network namespace first, which the unit
	// must let weft make.
	m.run("weft", "templates", "init", "/etc/weft/mine", "--from", "cascade")
	m.shell(`sed -i 's/comment {{ .Comment }}/comment "mine"/' /etc/weft/mine/_service.nft.tmpl`)
	m.configure("1", "templates: /etc/weft/mine\n")
	m.rules(`comment "mine"`)
	if log := m.run("journalctl", "--no-pager", "-u", "weft"); strings.Contains(log, "not tried elsewhere") || strings.Contains(log, "level=ERROR") || strings.Contains(log, "level=WARN") {
		m.t.Errorf("what weft could not do: %s", log)
	}
}

func (m *machine) reloads() {
	pid := m.property("MainPID")
	m.configure("3", "templates: simplified\n")
	m.run("systemctl", "reload", "weft")
	m.rules("0-74 : 198.51.100.1")
	if now := m.property("MainPID"); now != pid {
		m.t.Errorf("another process after a reload: %s, %s before", now, pid)
	}
}

// watched stops the process from moving, for which systemd must kill it and start
// another. The unit's own limit is shortened. The rules stay meanwhile.
func (m *machine) watched() {
	m.shell("mkdir -p /run/systemd/system/weft.service.d && printf '[Service]\\nWatchdogSec=6s\\nRestartSec=100ms\\n' >/run/systemd/system/weft.service.d/test.conf")
	m.run("systemctl", "daemon-reload")
	m.run("systemctl", "restart", "weft")
	pid := m.property("MainPID")
	time.Sleep(8 * time.Second) // longer than the limit: one that moves is left alone
	if now := m.property("MainPID"); now != pid {
		m.t.Errorf("a weft that moves was killed")
	}
	m.run("kill", "-STOP", pid)
	m.within("another process", 30*time.Second, func() bool {
		now := m.property("MainPID")
		return now != pid && now != "0" && m.property("ActiveState") == "active"
	})
	if got := m.property("NRestarts"); got != "1" {
		m.t.Errorf("started again %s times", got)
	}
	m.rules("198.51.100.1")
}

// upgrade keeps the configuration, and starts a weft again that runs.
func (m *machine) upgrade() {
	pid := m.property("MainPID")
	m.run("dpkg", "-i", "/tmp/weft.deb")
	m.says("active", "systemctl", "is-active", "weft")
	if now := m.property("MainPID"); now == pid {
		m.t.Error("the old program runs on after an upgrade")
	}
	m.says("weight: 3", "cat", "/etc/weft/weft.yaml")
	m.rules("0-74 : 198.51.100.1")
	m.run("systemctl", "stop", "weft")
	m.rules("198.51.100.1") // until the heartbeat ends
	m.run("dpkg", "-i", "/tmp/weft.deb")
	m.says("inactive", "systemctl", "is-active", "weft")
	m.run("systemctl", "start", "weft")
}

func (m *machine) remove() {
	m.run("dpkg", "-r", "weft")
	m.fails("systemctl", "is-active", "weft")
	if out := m.run("nft", "list", "ruleset"); out != "" {
		m.t.Errorf("rules of a weft that was removed: %s", out)
	}
	m.run("test", "-f", "/etc/weft/weft.yaml")
	m.fails("test", "-e", "/usr/bin/weft")
	m.fails("test", "-e", "/run/weft")
	m.shell("rm -r /etc/weft/mine")
	m.run("dpkg", "-P", "weft")
	for _, path := range []string{"/etc/weft", "/lib/systemd/system/weft.service", "/usr/share/doc/weft", "/usr/share/bash-completion/completions/weft"} {
		m.fails("test", "-e", path)
	}
	if left := m.shell("find /etc/systemd /var/lib/systemd -name '*weft*'"); left != "" {
		m.t.Errorf("left after a purge: %s", left)
	}
}
