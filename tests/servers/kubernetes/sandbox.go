package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// The only argument of this program where it is to become a container.
const sandboxArgument = "enter-sandbox"

// What a container's process is and sees. It comes to the process on standard input.
type sandbox struct {
	Hostname        string
	Hosts           string // the text of /etc/hosts
	Root            string // an empty folder, for its root
	Mounts          []mount
	ReadOnlyRoot    bool
	NoNewPrivileges bool
	User, Group     int
	Groups          []int
	Folder          string
	Command         []string
	Environment     []string
}

// A file or folder of the host, and where the container has it.
type mount struct {
	From, To string
	ReadOnly bool
}

// enterSandbox makes this process, the first of its namespaces, what standard input says. It
// returns only if that fails.
func enterSandbox() error {
	// Privileges and the parent's death are matters of a thread: the one that executes.
	runtime.LockOSThread()
	var box sandbox
	if err := json.NewDecoder(os.Stdin).Decode(&box); err != nil {
		return err
	}
	null, err := os.Open(os.DevNull)
	if err != nil {
		return err
	}
	if err := unix.Dup3(int(null.Fd()), 0, 0); err != nil {
		return err
	}
	if err := unix.Sethostname([]byte(box.Hostname)); err != nil {
		return err
	}
	if err := box.enterRoot(); err != nil {
		return err
	}
	if box.Folder == "" {
		box.Folder = "/"
	}
	if err := os.Chdir(box.Folder); err != nil {
		return err
	}
	if err := errors.Join(
		syscall.Setgroups(box.Groups), syscall.Setgid(box.Group), syscall.Setuid(box.User),
	); err != nil {
		return err
	}
	// Another user is another's child: said again, it is killed when the agent ends.
	if err := unix.Prctl(unix.PR_SET_PDEATHSIG, uintptr(unix.SIGKILL), 0, 0, 0); err != nil {
		return err
	}
	if box.NoNewPrivileges {
		if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
			return err
		}
	}
	program := box.Command[0]
	if !strings.Contains(program, "/") {
		for _, variable := range box.Environment {
			if search, ok := strings.CutPrefix(variable, "PATH="); ok {
				os.Setenv("PATH", search)
			}
		}
		if program, err = exec.LookPath(program); err != nil {
			return err
		}
	}
	return fmt.Errorf("%s: %w", program, syscall.Exec(program, box.Command, box.Environment))
}

// enterRoot makes an almost empty folder of memory the root: what is mounted, the shared
// libraries of the host, and a few devices.
func (box *sandbox) enterRoot() error {
	root := box.Root
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return err
	}
	if err := unix.Mount("root", root, "tmpfs", unix.MS_NOSUID, "mode=0755"); err != nil {
		return fmt.Errorf("the root: %w", err)
	}
	for _, folder := range []string{"/usr", "/lib", "/lib64"} {
		if err := share(folder, root); err != nil {
			return err
		}
	}
	for _, device := range []string{"/dev/null", "/dev/zero", "/dev/random", "/dev/urandom"} {
		if err := bind(mount{From: device, To: device}, root); err != nil {
			return err
		}
	}
	for _, folder := range []string{"proc", "etc"} {
		if err := os.Mkdir(filepath.Join(root, folder), 0o755); err != nil {
			return err
		}
	}
	if err := unix.Mount("proc", filepath.Join(root, "proc"), "proc", 0, ""); err != nil {
		return fmt.Errorf("/proc: %w", err)
	}
	if err := os.WriteFile(filepath.Join(root, "etc/hosts"), []byte(box.Hosts), 0o644); err != nil {
		return err
	}
	for _, mounted := range box.Mounts {
		if err := bind(mounted, root); err != nil {
			return err
		}
	}
	if err := os.Chdir(root); err != nil {
		return err
	}
	// The old root lies over the new one then, and is taken away.
	if err := unix.PivotRoot(".", "."); err != nil {
		return fmt.Errorf("changing the root: %w", err)
	}
	if err := unix.Unmount(".", unix.MNT_DETACH); err != nil {
		return err
	}
	if box.ReadOnlyRoot {
		return unix.Mount("", "/", "", unix.MS_REMOUNT|unix.MS_RDONLY|unix.MS_NOSUID, "")
	}
	return nil
}

// share shows a folder of the host at its own place, or the link that it is.
func share(folder, root string) error {
	target, err := os.Readlink(folder)
	if err == nil {
		return os.Symlink(target, filepath.Join(root, folder))
	}
	if _, err := os.Stat(folder); os.IsNotExist(err) {
		return nil
	}
	return bind(mount{From: folder, To: folder, ReadOnly: true}, root)
}

func bind(m mount, root string) error {
	to := filepath.Join(root, m.To)
	about, err := os.Stat(m.From)
	if err != nil {
		return err
	}
	if about.IsDir() {
		err = os.MkdirAll(to, 0o755)
	} else if err = os.MkdirAll(filepath.Dir(to), 0o755); err == nil {
		err = os.WriteFile(to, nil, 0o644)
	}
	if err != nil {
		return err
	}
	if err := unix.Mount(m.From, to, "", unix.MS_BIND|unix.MS_REC, ""); err != nil {
		return fmt.Errorf("mounting %s at %s: %w", m.From, m.To, err)
	}
	if m.ReadOnly {
		if err := unix.Mount("", to, "", unix.MS_REMOUNT|unix.MS_BIND|unix.MS_RDONLY, ""); err != nil {
			return fmt.Errorf("mounting %s read-only: %w", m.To, err)
		}
	}
	return nil
}
