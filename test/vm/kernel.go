// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// kernels of the matrix: a name, and the Debian package that depends on the newest of them.
var kernels = []struct{ name, meta string }{
	{"6.1", "linux-image-amd64"},
	{"6.12", "linux-image-6.12-amd64"},
	{"6.12-rt", "linux-image-6.12-rt-amd64"},
}

// kernel is an unpacked package.
type kernel struct {
	name    string
	dir     string // of the unpacked package, which has boot and lib
	release string // "6.1.0-56-amd64"
}

func (k *kernel) image() string   { return filepath.Join(k.dir, "boot", "vmlinuz-"+k.release) }
func (k *kernel) modules() string { return filepath.Join(k.dir, "lib/modules", k.release) }

// kernelOf the matrix, from the cache or fetched: VMCACHE, or /var/tmp/ipmpd-vm.
func kernelOf(name string) (*kernel, error) {
	cache := os.Getenv("VMCACHE")
	if cache == "" {
		cache = "/var/tmp/ipmpd-vm"
	}
	for _, k := range kernels {
		if k.name == name {
			return fetch(cache, k.name, k.meta)
		}
	}
	return nil, fmt.Errorf("kernel %s is not in the matrix; use 6.1, 6.12 or 6.12-rt", name)
}

// fetch a kernel into the cache, unless it is there. FETCH=newest asks for a newer one.
func fetch(cache, name, meta string) (*kernel, error) {
	dir := filepath.Join(cache, name)
	if os.Getenv("FETCH") != "newest" {
		if k, err := unpacked(name, dir); err == nil {
			return k, nil
		}
	}
	if err := os.MkdirAll(cache, 0o755); err != nil {
		return nil, err
	}
	pkg, err := newest(meta)
	if err != nil {
		// The package lists may be old or absent.
		if out, uerr := exec.Command("apt-get", "update", "-qq").CombinedOutput(); uerr != nil {
			return nil, fmt.Errorf("apt-get update: %w: %s", uerr, out)
		}
		if pkg, err = newest(meta); err != nil {
			return nil, err
		}
	}
	debs, err := filepath.Glob(filepath.Join(cache, pkg+"_*.deb"))
	if err == nil && len(debs) == 0 {
		cmd := exec.Command("apt-get", "download", "-qq", pkg)
		cmd.Dir = cache
		if out, err := cmd.CombinedOutput(); err != nil {
			return nil, fmt.Errorf("apt-get download %s: %w: %s", pkg, err, out)
		}
		debs, err = filepath.Glob(filepath.Join(cache, pkg+"_*.deb"))
	}
	if err != nil || len(debs) == 0 {
		return nil, fmt.Errorf("package %s is not there after its download: %w", pkg, err)
	}
	if err := errors.Join(os.RemoveAll(dir), os.MkdirAll(dir, 0o755)); err != nil {
		return nil, err
	}
	// Networking is what is tested; drivers of real hardware stay in the package.
	unpack := exec.Command("bash", "-c", `set -o pipefail; dpkg-deb --fsys-tarfile "$1" | tar -x -C "$2" --wildcards `+
		`'./boot/vmlinuz-*' './lib/modules/*/modules.builtin' './lib/modules/*/kernel/net' './lib/modules/*/kernel/lib' './lib/modules/*/kernel/crypto' `+
		`'./lib/modules/*/kernel/drivers/net/*.ko*'`, "unpack", debs[len(debs)-1], dir)
	if out, err := unpack.CombinedOutput(); err != nil {
		return nil, errors.Join(fmt.Errorf("unpack %s: %w: %s", debs[len(debs)-1], err, out), os.RemoveAll(dir))
	}
	return unpacked(name, dir)
}

// newest package that a meta package stands for.
func newest(meta string) (string, error) {
	out, err := exec.Command("apt-cache", "depends", meta).Output()
	if err != nil {
		return "", fmt.Errorf("apt-cache depends %s: %w", meta, err)
	}
	for line := range strings.Lines(string(out)) {
		if pkg, found := strings.CutPrefix(strings.TrimSpace(line), "Depends: linux-image-"); found {
			return "linux-image-" + pkg, nil
		}
	}
	return "", fmt.Errorf("no package linux-image-* behind %s; is Debian 12 with its security suite in sources.list?", meta)
}

func unpacked(name, dir string) (*kernel, error) {
	images, err := filepath.Glob(filepath.Join(dir, "boot/vmlinuz-*"))
	if err != nil || len(images) != 1 {
		return nil, fmt.Errorf("%s has %d kernels", dir, len(images))
	}
	return &kernel{name: name, dir: dir, release: strings.TrimPrefix(filepath.Base(images[0]), "vmlinuz-")}, nil
}
