package cluster

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"

	"weft/examples/lab"
)

// User is somebody with a client certificate.
type User struct {
	Name   string
	Groups []string
}

// The users that a cluster always has: Admin may do everything, KubeProxy what
// Kubernetes' own role system:node-proxier allows.
var (
	Admin     = User{"admin", []string{"system:masters"}}
	KubeProxy = User{"system:kube-proxy", nil}
)

// keys is the cluster's certificate authority, in a folder.
type keys struct {
	dir    string
	key    *ecdsa.PrivateKey
	cert   *x509.Certificate
	serial int64
}

// keysLifetime is longer than any test.
const keysLifetime = 24 * time.Hour

// newKeys makes the authority, the API server's certificate, and the key that
// signs the tokens of ServiceAccounts.
func newKeys(dir string, control *lab.Host) (*keys, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	k := &keys{dir: dir, key: key}
	authority := k.template("weft-cluster")
	authority.IsCA, authority.BasicConstraintsValid = true, true
	authority.KeyUsage = x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature
	if k.cert, err = k.sign("ca", authority, authority, key); err != nil {
		return nil, err
	}
	server := k.template("kube-apiserver")
	server.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	server.DNSNames = []string{"localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc"}
	server.IPAddresses = []net.IP{
		control.IPv4.AsSlice(), control.IPv6.AsSlice(), net.IPv4(127, 0, 0, 1), net.IPv6loopback,
		ServiceCIDRs[0].Addr().Next().AsSlice(),
	}
	if err := k.issue("apiserver", server); err != nil {
		return nil, err
	}
	return k, k.issue("serviceaccount", k.template("serviceaccount"))
}

func (k *keys) template(name string, groups ...string) *x509.Certificate {
	k.serial++
	now := time.Now()
	return &x509.Certificate{
		SerialNumber: big.NewInt(k.serial),
		Subject:      pkix.Name{CommonName: name, Organization: groups},
		NotBefore:    now.Add(-time.Hour), NotAfter: now.Add(keysLifetime),
		KeyUsage: x509.KeyUsageDigitalSignature,
	}
}

// issue makes a key with a certificate of the authority.
func (k *keys) issue(file string, template *x509.Certificate) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	_, err = k.sign(file, template, k.cert, key)
	return err
}

// sign writes FILE.crt and FILE.key.
func (k *keys) sign(file string, template, parent *x509.Certificate, key *ecdsa.PrivateKey) (*x509.Certificate, error) {
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, k.key)
	if err != nil {
		return nil, fmt.Errorf("make certificate %s: %w", file, err)
	}
	private, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("make key %s: %w", file, err)
	}
	if err := errors.Join(k.write(file+".crt", "CERTIFICATE", der), k.write(file+".key", "EC PRIVATE KEY", private)); err != nil {
		return nil, err
	}
	return x509.ParseCertificate(der)
}

func (k *keys) write(name, kind string, der []byte) error {
	return os.WriteFile(k.path(name), pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o644)
}

func (k *keys) path(name string) string { return filepath.Join(k.dir, name) }

// client gives a user a certificate, in FILE.crt and FILE.key.
func (k *keys) client(file string, u User) error {
	template := k.template(u.Name, u.Groups...)
	template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	return k.issue(file, template)
}

// kubeconfig gives a user a certificate and a kubeconfig, whose path it returns.
func (k *keys) kubeconfig(server string, u User) (string, error) {
	file := sanitize(u.Name)
	if err := k.client(file, u); err != nil {
		return "", err
	}
	return k.writeKubeconfig(file, server, map[string]any{
		"client-certificate": k.path(file + ".crt"), "client-key": k.path(file + ".key"),
	})
}

func (k *keys) writeKubeconfig(file, server string, user map[string]any) (string, error) {
	// JSON is YAML, too.
	text, err := json.MarshalIndent(map[string]any{
		"apiVersion": "v1", "kind": "Config", "current-context": "lab",
		"clusters": []any{map[string]any{"name": "lab", "cluster": map[string]any{"server": server, "certificate-authority": k.path("ca.crt")}}},
		"users":    []any{map[string]any{"name": "user", "user": user}},
		"contexts": []any{map[string]any{"name": "lab", "context": map[string]any{"cluster": "lab", "user": "user"}}},
	}, "", "  ")
	if err != nil {
		return "", err
	}
	path := k.path(file + ".kubeconfig")
	if err := os.WriteFile(path, text, 0o644); err != nil {
		return "", fmt.Errorf("write a kubeconfig: %w", err)
	}
	return path, nil
}

// tls is how a user with a certificate talks to the API server.
func (k *keys) tls(file string) (*tls.Config, error) {
	pair, err := tls.LoadX509KeyPair(k.path(file+".crt"), k.path(file+".key"))
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	roots.AddCert(k.cert)
	return &tls.Config{RootCAs: roots, Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}, nil
}

// sanitize makes a file's name of a user's.
func sanitize(name string) string {
	out := []byte(name)
	for i, b := range out {
		if b == ':' || b == '/' {
			out[i] = '-'
		}
	}
	return string(out)
}
