package rig_test

import (
	"bytes"
	"debug/elf"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// modules are what a machine loads, in this order, each after what it needs.
var modules = [...]string{
	"can", "can-raw", "can-isotp", "can-j1939", "can-dev", "vcan", "sja1000", "kvaser_pci",
	"virtio_pci", "virtio_blk", "virtio_net", "crc32c_generic", "ext4", "xhci-pci", "ftdi_sio", "parport_pc", "pps_parport",
}

// kernel is an unpacked kernel package.
type kernel struct{ dir, image string }

// unpackKernel fetches Debian's kernel package once and unpacks it without
// installing it. OBU_RIG_CACHE names the folder that keeps it.
func unpackKernel(t *testing.T) kernel {
	t.Helper()
	cache := os.Getenv("OBU_RIG_CACHE")
	if cache == "" {
		base, err := os.UserCacheDir()
		if err != nil {
			base = os.TempDir()
		}
		cache = filepath.Join(base, "obu-rig")
	}
	name := kernelPackage(t)
	k := kernel{dir: filepath.Join(cache, name)}
	if _, err := os.Stat(k.dir); err != nil {
		fetchKernel(t, name, k.dir)
	}
	found, err := filepath.Glob(filepath.Join(k.dir, "boot/vmlinuz-*"))
	if err != nil || len(found) != 1 {
		t.Fatalf("%s holds %d kernels (%v): remove the folder, the next run fetches it anew", k.dir, len(found), err)
	}
	k.image = unpacked(t, found[0], filepath.Join(k.dir, "vmlinux"))
	return k
}

// unpacked returns the kernel inside an image: a machine takes longer to unpack
// it than to boot, each time. Where it is packed otherwise, or by a host without
// xz, that is the image itself.
func unpacked(t *testing.T, image, vmlinux string) string {
	t.Helper()
	if _, err := os.Stat(vmlinux); err == nil {
		return vmlinux
	}
	packed, err := os.ReadFile(image)
	if err != nil {
		t.Fatal(err)
	}
	i := bytes.Index(packed, []byte("\xfd7zXZ\x00"))
	if i < 0 {
		return image
	}
	cmd := exec.Command("xz", "-dc", "--single-stream")
	cmd.Stdin = bytes.NewReader(packed[i:])
	elf, err := cmd.Output()
	if err != nil || !bytes.HasPrefix(elf, []byte("\x7fELF")) {
		return image
	}
	part, err := os.CreateTemp(filepath.Dir(vmlinux), "vmlinux-*")
	if err != nil {
		t.Fatal(err)
	}
	_, err = part.Write(elf)
	if err = errors.Join(err, part.Close()); err == nil {
		err = os.Rename(part.Name(), vmlinux)
	}
	if err != nil {
		t.Fatal(err)
	}
	return vmlinux
}

// kernelPackage returns the package behind linux-image-amd64.
func kernelPackage(t *testing.T) string {
	t.Helper()
	out := command(t, "", "apt-cache", "depends", "linux-image-amd64")
	for line := range strings.Lines(out) {
		if dep, ok := strings.CutPrefix(strings.TrimSpace(line), "Depends: "); ok && strings.HasPrefix(dep, "linux-image-") {
			return dep
		}
	}
	t.Fatalf("apt-cache names no kernel behind linux-image-amd64 (run apt-get update):\n%s", out)
	return ""
}

func fetchKernel(t *testing.T, name, dir string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		t.Fatal(err)
	}
	work, err := os.MkdirTemp(filepath.Dir(dir), "fetch-*")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(work)
	command(t, work, "apt-get", "download", "-qq", name)
	debs, _ := filepath.Glob(filepath.Join(work, "*.deb"))
	if len(debs) != 1 {
		t.Fatalf("apt-get download %s left %d packages", name, len(debs))
	}
	tree := filepath.Join(work, "tree")
	command(t, work, "dpkg-deb", "-x", debs[0], tree)
	if err := os.Rename(tree, dir); err != nil && !os.IsExist(err) {
		t.Fatal(err)
	}
}

// command runs a tool of the host and returns what it printed.
func command(t *testing.T, dir, name string, args ...string) string {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}

// modulesFor returns the files of modules, each after those it depends on.
func (k kernel) modulesFor(t *testing.T) []string {
	t.Helper()
	files := make(map[string]string)
	err := filepath.WalkDir(filepath.Join(k.dir, "lib/modules"), func(path string, _ fs.DirEntry, err error) error {
		if name, ok := strings.CutSuffix(filepath.Base(path), ".ko"); ok {
			files[strings.ReplaceAll(name, "-", "_")] = path
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	seen := make(map[string]bool)
	var add func(name string)
	add = func(name string) {
		name = strings.ReplaceAll(name, "-", "_")
		path, ok := files[name]
		if seen[name] || !ok {
			if !ok {
				t.Fatalf("the kernel in %s has no module %s", k.dir, name)
			}
			return
		}
		seen[name] = true
		for _, dep := range dependencies(t, path) {
			add(dep)
		}
		out = append(out, path)
	}
	for _, m := range modules {
		add(m)
	}
	return out
}

// dependencies reads the line "depends=a,b" of a module's .modinfo section.
func dependencies(t *testing.T, path string) []string {
	t.Helper()
	f, err := elf.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	s := f.Section(".modinfo")
	if s == nil {
		return nil
	}
	info, err := s.Data()
	if err != nil {
		t.Fatal(err)
	}
	for line := range bytes.SplitSeq(info, []byte{0}) {
		if deps, ok := bytes.CutPrefix(line, []byte("depends=")); ok && len(deps) > 0 {
			return strings.Split(string(deps), ",")
		}
	}
	return nil
}

// image is the content of an initial file system.
type image struct {
	buf  bytes.Buffer
	made map[string]bool
	node int
}

// dir adds a folder and those above it.
func (m *image) dir(path string) {
	if path == "/" || path == "." || m.made[path] {
		return
	}
	m.dir(filepath.Dir(path))
	m.made[path] = true
	m.entry(path, 0o040755, nil)
}

func (m *image) file(path string, mode uint32, content []byte) {
	m.dir(filepath.Dir(path))
	m.entry(path, 0o100000|mode, content)
}

// copied adds a file of the host.
func (m *image) copied(t *testing.T, path, from string) {
	t.Helper()
	content, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	m.file(path, 0o755, content)
}

// dynamic adds a tool of the host with the libraries it names, if the host has it.
func (m *image) dynamic(t *testing.T, tool string) {
	t.Helper()
	path, err := exec.LookPath(tool)
	if err != nil {
		return
	}
	m.copied(t, "/bin/"+tool, path)
	for word := range strings.FieldsSeq(command(t, "", "ldd", path)) {
		if filepath.IsAbs(word) {
			m.copied(t, word, word)
		}
	}
}

// entry writes one record of the "newc" format (kernel,
// Documentation/driver-api/early-userspace/buffer-format.rst).
func (m *image) entry(path string, mode uint32, content []byte) {
	m.node++
	name := strings.TrimPrefix(path, "/")
	fmt.Fprintf(&m.buf, "070701%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%s\x00",
		m.node, mode, 0, 0, 1, 0, len(content), 0, 0, 0, 0, len(name)+1, 0, name)
	m.pad()
	m.buf.Write(content)
	m.pad()
}

func (m *image) pad() {
	for m.buf.Len()%4 != 0 {
		m.buf.WriteByte(0)
	}
}

func (m *image) bytes() []byte {
	m.entry("TRAILER!!!", 0, nil)
	return m.buf.Bytes()
}

// build compiles a package or its tests into a static binary.
func build(t *testing.T, out string, args ...string) {
	t.Helper()
	cmd := exec.Command("go", append(args[:1:1], append([]string{"-o", out}, args[1:]...)...)...)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if b, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("go %s: %v\n%s", strings.Join(args, " "), err, b)
	}
}

// binaries are what the image holds below /bin, built once a run.
func binaries(t *testing.T, dir string) map[string]string {
	t.Helper()
	out := map[string]string{"/bin/busybox": busybox(t)}
	for _, b := range [...]struct {
		path string
		args []string
	}{
		{"/init", []string{"build", "obu/internal/rig/guest"}},
		{"/bin/obu", []string{"build", "obu/cmd/obu"}},
		{"/bin/fleet", []string{"build", "obu/cmd/fleet"}},
		{"/bin/inside.test", []string{"test", "-c", "obu/internal/rig/inside"}},
	} {
		out[b.path] = filepath.Join(dir, filepath.Base(b.path))
		build(t, out[b.path], b.args...)
	}
	return out
}

func busybox(t *testing.T) string {
	t.Helper()
	path, err := exec.LookPath("busybox")
	if err != nil {
		t.Skip("skipped: no busybox (apt-get install busybox-static)")
	}
	return path
}

// writeImage writes the initial file system of every machine of a run.
func writeImage(t *testing.T, k kernel, dir string) string {
	t.Helper()
	m := &image{made: make(map[string]bool)}
	m.dir("/dev")
	for path, from := range binaries(t, dir) {
		m.copied(t, path, from)
	}
	m.dynamic(t, "candump")
	var list strings.Builder
	for _, from := range k.modulesFor(t) {
		path := "/lib/modules/" + filepath.Base(from)
		m.copied(t, path, from)
		fmt.Fprintln(&list, path)
	}
	m.file("/modules", 0o644, []byte(list.String()))
	path := filepath.Join(dir, "initramfs")
	if err := os.WriteFile(path, m.bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}
