package cluster

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// script is what a container runtime does, as a shell script that runs in a
// mount namespace of its own: it builds the root out of the machine's programs
// and the volumes, and becomes the container's program.
//
// Its root has nothing of the machine's /etc, /run, /var, /tmp and /root.
func (p *Pod) script(container *corev1.Container, program string) (string, error) {
	root, err := os.MkdirTemp(p.cluster.Dir, "root-"+container.Name+"-")
	if err != nil {
		return "", err
	}
	var s strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&s, format+"\n", args...) }
	line("cd %s", root)
	line("mount -t tmpfs -o mode=755 root . && cd %s", root)
	line("mkdir etc proc sys dev usr run var tmp image && ln -s ../run var/run && chmod 1777 tmp")
	line("for d in bin sbin lib lib64; do ln -s usr/$d $d; done")
	line("mount --rbind /usr usr && mount -o remount,bind,ro usr")
	line("mount --bind /proc proc && mount --bind /proc/sys proc/sys && mount -o remount,bind,ro proc/sys")
	line("mount --bind /dev dev && mount --bind /sys sys && mount -o remount,bind,ro sys")
	line("mount --bind %s image", filepath.Dir(program))
	for _, m := range container.VolumeMounts {
		source, ok := p.volumes.paths[m.Name]
		if !ok {
			return "", fmt.Errorf("no volume %s", m.Name)
		}
		line("mkdir -p .%s && mount --bind %s .%s", m.MountPath, source, m.MountPath)
		if m.ReadOnly {
			line("mount -o remount,bind,ro .%s", m.MountPath)
		}
	}
	if p.volumes.token != "" && p.spec.AutomountServiceAccountToken != nil && *p.spec.AutomountServiceAccountToken {
		line("mkdir -p .%[1]s && mount --bind %[2]s .%[1]s && mount -o remount,bind,ro .%[1]s", tokenPath, p.volumes.token)
	}
	security := container.SecurityContext
	if security == nil {
		return "", fmt.Errorf("no securityContext")
	}
	if security.ReadOnlyRootFilesystem != nil && *security.ReadOnlyRootFilesystem {
		line("mount -o remount,ro .")
	}
	line("exec chroot . setpriv %s --pdeathsig KILL /image/%s %s", strings.Join(p.privileges(security), " "),
		filepath.Base(program), quote(append(container.Command, container.Args...)))
	return s.String(), nil
}

// tokenPath is where every pod finds its token. In a root of ours /var/run leads
// to /run, as on most.
const tokenPath = "/run/secrets/kubernetes.io/serviceaccount"

// privileges are setpriv's flags for what a runtime makes of a securityContext:
// the capabilities are the bounding set, which root has and others have not.
func (p *Pod) privileges(security *corev1.SecurityContext) []string {
	uid, gid := p.identity(security)
	flags := []string{
		fmt.Sprintf("--reuid=%d", uid), fmt.Sprintf("--regid=%d", gid), "--clear-groups",
		"--inh-caps=-all", "--bounding-set=" + bounding(security.Capabilities),
	}
	if security.AllowPrivilegeEscalation != nil && !*security.AllowPrivilegeEscalation {
		flags = append(flags, "--no-new-privs")
	}
	return flags
}

func (p *Pod) identity(security *corev1.SecurityContext) (uid, gid int64) {
	if pod := p.spec.SecurityContext; pod != nil {
		uid, gid = deref(pod.RunAsUser, 0), deref(pod.RunAsGroup, 0)
	}
	return deref(security.RunAsUser, uid), deref(security.RunAsGroup, gid)
}

func deref(p *int64, otherwise int64) int64 {
	if p == nil {
		return otherwise
	}
	return *p
}

// defaultCapabilities are what containerd gives a container that asks for
// nothing (containerd's docs/man and oci/spec.go).
var defaultCapabilities = []string{
	"chown", "dac_override", "fsetid", "fowner", "mknod", "net_raw", "setgid", "setuid", "setfcap", "setpcap",
	"net_bind_service", "sys_chroot", "kill", "audit_write",
}

func bounding(asked *corev1.Capabilities) string {
	set := map[string]bool{}
	for _, name := range defaultCapabilities {
		set[name] = true
	}
	if asked != nil {
		for _, name := range asked.Drop {
			delete(set, strings.ToLower(string(name)))
			if name == "ALL" {
				clear(set)
			}
		}
		for _, name := range asked.Add {
			set[strings.ToLower(string(name))] = true
		}
	}
	flag := "-all"
	for name := range set {
		flag += ",+" + name
	}
	return flag
}

// quote writes arguments for a shell.
func quote(args []string) string {
	var quoted []string
	for _, a := range args {
		quoted = append(quoted, "'"+strings.ReplaceAll(a, "'", `'\''`)+"'")
	}
	return strings.Join(quoted, " ")
}
