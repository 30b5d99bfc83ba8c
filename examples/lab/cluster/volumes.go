package cluster

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"weft/examples/lab"
)

// volumes are the folders of a pod.
type volumes struct {
	cluster   *Cluster
	namespace string
	account   string
	dir       string
	// paths are the folders by the names of the volumes; token is the folder
	// that a pod has whose token is mounted by itself.
	paths map[string]string
	token string

	configMaps map[string]*corev1.ConfigMapVolumeSource
}

func (c *Cluster) newVolumes(ctx context.Context, node *lab.Node, namespace string, spec *corev1.PodSpec) (*volumes, error) {
	dir, err := os.MkdirTemp(c.Dir, "pod-")
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		return nil, err
	}
	v := &volumes{
		cluster: c, namespace: namespace, account: spec.ServiceAccountName, dir: dir,
		paths: map[string]string{}, configMaps: map[string]*corev1.ConfigMapVolumeSource{},
	}
	for i := range spec.Volumes {
		if err := v.add(ctx, node, &spec.Volumes[i]); err != nil {
			return nil, fmt.Errorf("volume %s: %w", spec.Volumes[i].Name, err)
		}
	}
	if spec.AutomountServiceAccountToken != nil && *spec.AutomountServiceAccountToken {
		if v.token, err = v.folder("token", 0o755); err != nil {
			return nil, err
		}
		if err := v.project(ctx, v.token, standardToken()); err != nil {
			return nil, err
		}
	}
	return v, v.sync(ctx)
}

// standardToken is what the admission of pods adds to them.
func standardToken() []corev1.VolumeProjection {
	return []corev1.VolumeProjection{
		{ServiceAccountToken: &corev1.ServiceAccountTokenProjection{Path: "token"}},
		{ConfigMap: &corev1.ConfigMapProjection{LocalObjectReference: corev1.LocalObjectReference{Name: "kube-root-ca.crt"}}},
		{DownwardAPI: &corev1.DownwardAPIProjection{}},
	}
}

func (v *volumes) folder(name string, mode fs.FileMode) (string, error) {
	path := filepath.Join(v.dir, name)
	return path, errors.Join(os.MkdirAll(path, mode), os.Chmod(path, mode))
}

func (v *volumes) add(ctx context.Context, node *lab.Node, volume *corev1.Volume) (err error) {
	switch {
	case volume.HostPath != nil:
		v.paths[volume.Name], err = v.cluster.HostPath(node, volume.HostPath.Path)
	case volume.EmptyDir != nil:
		v.paths[volume.Name], err = v.folder(volume.Name, 0o777)
	case volume.ConfigMap != nil:
		v.configMaps[volume.Name] = volume.ConfigMap
		v.paths[volume.Name], err = v.folder(volume.Name, 0o755)
	case volume.Projected != nil:
		if v.paths[volume.Name], err = v.folder(volume.Name, 0o755); err == nil {
			err = v.project(ctx, v.paths[volume.Name], volume.Projected.Sources)
		}
	default:
		err = errors.New("not of a kind that can be mounted here")
	}
	return err
}

// HostPath is the folder that stands for a path of the node; it is made if it is
// not there.
func (c *Cluster) HostPath(node *lab.Node, path string) (string, error) {
	folder := c.path("host-"+node.Host.Host, path)
	return folder, os.MkdirAll(folder, 0o755)
}

// project writes a projected volume. The kubelet makes a token readable for the
// user of the container; here for everybody.
func (v *volumes) project(ctx context.Context, into string, sources []corev1.VolumeProjection) error {
	files := map[string]string{}
	for _, s := range sources {
		switch {
		case s.ServiceAccountToken != nil:
			token, err := v.cluster.Token(ctx, v.namespace, v.account)
			if err != nil {
				return err
			}
			files[s.ServiceAccountToken.Path] = token
		case s.ConfigMap != nil && s.ConfigMap.Name == "kube-root-ca.crt":
			ca, err := os.ReadFile(v.cluster.CA()) // a controller puts it into each namespace
			if err != nil {
				return err
			}
			files["ca.crt"] = string(ca)
		case s.DownwardAPI != nil:
			files["namespace"] = v.namespace
		default:
			return errors.New("a projection that is not known here")
		}
	}
	return publish(into, files)
}

// sync writes the ConfigMaps as they are now.
func (v *volumes) sync(ctx context.Context) error {
	for name, source := range v.configMaps {
		files, err := v.configMap(ctx, source)
		if err != nil {
			return err
		}
		if err := publish(v.paths[name], files); err != nil {
			return fmt.Errorf("volume %s: %w", name, err)
		}
	}
	return nil
}

func (v *volumes) configMap(ctx context.Context, source *corev1.ConfigMapVolumeSource) (map[string]string, error) {
	out, err := v.cluster.Kubectl(ctx, nil, "get", "configmap", source.Name, "--namespace", v.namespace,
		"--output=json", "--ignore-not-found")
	if err != nil {
		return nil, err
	}
	if strings.TrimSpace(out) == "" {
		if source.Optional != nil && *source.Optional {
			return nil, nil
		}
		return nil, fmt.Errorf("no ConfigMap %s", source.Name)
	}
	var m corev1.ConfigMap
	if err := json.Unmarshal([]byte(out), &m); err != nil {
		return nil, fmt.Errorf("read ConfigMap %s: %w", source.Name, err)
	}
	return m.Data, nil
}

// publish writes files as the kubelet does (pkg/volume/util/atomic_writer.go):
// into a new folder, to which the link ..data is then renamed, so that readers
// see all of the old files or all of the new ones. Each file is a link through
// ..data.
func publish(into string, files map[string]string) error {
	if same(into, files) {
		return nil
	}
	data, err := os.MkdirTemp(into, "..")
	if err != nil {
		return err
	}
	if err := os.Chmod(data, 0o755); err != nil {
		return err
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(data, name), []byte(text), 0o644); err != nil {
			return err
		}
	}
	before, _ := os.Readlink(filepath.Join(into, "..data")) // none at first
	if err := swap(into, filepath.Base(data)); err != nil {
		return err
	}
	if err := link(into, files); err != nil || before == "" {
		return err
	}
	return os.RemoveAll(filepath.Join(into, before))
}

// same reports whether a folder holds exactly these files.
func same(into string, files map[string]string) bool {
	entries, err := os.ReadDir(filepath.Join(into, "..data"))
	if err != nil || len(entries) != len(files) {
		return false
	}
	for name, text := range files {
		if there, err := os.ReadFile(filepath.Join(into, name)); err != nil || string(there) != text {
			return false
		}
	}
	return true
}

func swap(into, data string) error {
	temporary := filepath.Join(into, "..data_tmp")
	if err := os.Symlink(data, temporary); err != nil {
		return err
	}
	return os.Rename(temporary, filepath.Join(into, "..data"))
}

// link makes a link for each new file and takes those of gone files away.
func link(into string, files map[string]string) error {
	entries, err := os.ReadDir(into)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if _, ok := files[e.Name()]; !ok && !strings.HasPrefix(e.Name(), "..") {
			if err := os.Remove(filepath.Join(into, e.Name())); err != nil {
				return err
			}
		}
	}
	for name := range files {
		if err := os.Symlink(filepath.Join("..data", name), filepath.Join(into, name)); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
	}
	return nil
}
