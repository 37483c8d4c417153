package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"

	core "k8s.io/api/core/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// A running container.
type process struct {
	id         int
	began      time.Time
	exited     chan *core.ContainerStateTerminated
	stopProbes context.CancelFunc
}

func (p *process) terminate() { p.signal(syscall.SIGTERM) }

// kill ends it, and with it, as the first of its process namespace, all that it has started.
func (p *process) kill() { p.signal(syscall.SIGKILL) }

// One that has ended already needs no signal.
func (p *process) signal(signal syscall.Signal) { _ = syscall.Kill(p.id, signal) }

// start begins a container's process within a sandbox of its own.
func (p *pod) start(ctx context.Context, c *container) (*process, error) {
	box, err := p.sandbox(ctx, c.spec)
	if err != nil {
		return nil, err
	}
	output, err := os.Create(filepath.Join(p.node.folder, "logs", fmt.Sprintf(
		"%s_%s_%s_%d.log", p.object.Namespace, p.object.Name, c.spec.Name, c.restarts)))
	if err != nil {
		return nil, err
	}
	defer output.Close()
	input, writer, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer input.Close()
	command := exec.Command("/proc/self/exe", sandboxArgument)
	command.Stdin, command.Stdout, command.Stderr = input, output, output
	command.Env = []string{}
	command.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: syscall.CLONE_NEWNS | syscall.CLONE_NEWUTS | syscall.CLONE_NEWPID,
		Pdeathsig:  syscall.SIGKILL,
		Setpgid:    true,
	}
	started := make(chan error, 1)
	running := &process{exited: make(chan *core.ContainerStateTerminated, 1), stopProbes: func() {}}
	go func() {
		// The process is killed when the thread that started it ends, so it stays.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := command.Start()
		running.began = time.Now().Truncate(time.Second)
		if err == nil {
			running.id = command.Process.Pid
		}
		started <- err
		if err == nil {
			_ = command.Wait() // what became of it is in ProcessState
			running.exited <- terminated(running.began, command.ProcessState.Sys().(syscall.WaitStatus))
		}
	}()
	if err := <-started; err != nil {
		writer.Close()
		return nil, err
	}
	err = json.NewEncoder(writer).Encode(box)
	writer.Close()
	if err != nil {
		running.kill()
		return nil, err
	}
	return running, nil
}

func terminated(began time.Time, status syscall.WaitStatus) *core.ContainerStateTerminated {
	state := &core.ContainerStateTerminated{
		ExitCode: int32(status.ExitStatus()), Reason: "Completed",
		StartedAt: meta.NewTime(began), FinishedAt: meta.NewTime(time.Now().Truncate(time.Second)),
	}
	if status.Signaled() {
		state.ExitCode, state.Signal = 128+int32(status.Signal()), int32(status.Signal())
	}
	if state.ExitCode != 0 {
		state.Reason = "Error"
	}
	return state
}

// sandbox is all that the container's process has to be, and to see.
func (p *pod) sandbox(ctx context.Context, c *core.Container) (*sandbox, error) {
	name := path.Base(c.Image)
	name, _, _ = strings.Cut(name, "@")
	name, _, _ = strings.Cut(name, ":")
	program, ok := p.node.programs[name]
	if !ok {
		return nil, fmt.Errorf("no program is known for image %q", c.Image)
	}
	environment, err := p.environment(ctx, c)
	if err != nil {
		return nil, err
	}
	hostname := p.object.Spec.Hostname
	if hostname == "" {
		hostname = p.object.Name
	}
	box := &sandbox{
		Hostname: hostname,
		Hosts:    fmt.Sprintf("127.0.0.1 localhost\n%s %s\n", p.address, hostname),
		Root:     filepath.Join(p.folder, "root", c.Name),
		Folder:   c.WorkingDir,
		Mounts:   []mount{{From: program, To: "/" + name, ReadOnly: true}},
		Command:  []string{"/" + name},
	}
	if len(c.Command) > 0 {
		box.Command = expandAll(c.Command, environment)
	}
	box.Command = append(box.Command, expandAll(c.Args, environment)...)
	for _, variable := range environment {
		box.Environment = append(box.Environment, variable.name+"="+variable.value)
	}
	for _, volume := range c.VolumeMounts {
		box.Mounts = append(box.Mounts, mount{
			From: p.volumeFolder(volume.Name), To: volume.MountPath,
			ReadOnly: volume.ReadOnly || p.volumeIsReadOnly(volume.Name),
		})
	}
	if err := box.confine(p.object.Spec.SecurityContext, c.SecurityContext); err != nil {
		return nil, err
	}
	return box, os.MkdirAll(box.Root, 0o755)
}

// confine reads who the process is to be: what the container says counts more than the pod.
func (box *sandbox) confine(pod *core.PodSecurityContext, own *core.SecurityContext) error {
	if pod == nil {
		pod = &core.PodSecurityContext{}
	}
	if own == nil {
		own = &core.SecurityContext{}
	}
	pick := func(own, pod *int64) int {
		if own == nil {
			own = pod
		}
		if own == nil {
			return 0
		}
		return int(*own)
	}
	box.User, box.Group = pick(own.RunAsUser, pod.RunAsUser), pick(own.RunAsGroup, pod.RunAsGroup)
	nonRoot := own.RunAsNonRoot
	if nonRoot == nil {
		nonRoot = pod.RunAsNonRoot
	}
	if nonRoot != nil && *nonRoot && box.User == 0 {
		return fmt.Errorf("the container has runAsNonRoot and would run as root")
	}
	for _, group := range pod.SupplementalGroups {
		box.Groups = append(box.Groups, int(group))
	}
	if pod.FSGroup != nil {
		box.Groups = append(box.Groups, int(*pod.FSGroup))
	}
	box.ReadOnlyRoot = own.ReadOnlyRootFilesystem != nil && *own.ReadOnlyRootFilesystem
	box.NoNewPrivileges = own.AllowPrivilegeEscalation != nil && !*own.AllowPrivilegeEscalation
	return nil
}

// refused tells what a pod asks for that isn't here; empty if all is.
func refused(object *core.Pod) string {
	spec := object.Spec
	switch {
	case len(spec.InitContainers) > 0:
		return "init containers are not run here"
	case spec.HostNetwork || spec.HostPID || spec.HostIPC:
		return "the host's namespaces are not given away here"
	case spec.ActiveDeadlineSeconds != nil:
		return "activeDeadlineSeconds of a pod is not watched here"
	}
	for _, volume := range spec.Volumes {
		if volume.ConfigMap == nil && volume.Secret == nil && volume.EmptyDir == nil && volume.PersistentVolumeClaim == nil {
			return fmt.Sprintf("volume %s: its kind is not mounted here", volume.Name)
		}
	}
	for _, c := range spec.Containers {
		if c.Lifecycle != nil {
			return fmt.Sprintf("container %s: lifecycle hooks are not run here", c.Name)
		}
		for _, mounted := range c.VolumeMounts {
			if mounted.SubPath != "" || mounted.SubPathExpr != "" || mounted.MountPropagation != nil {
				return fmt.Sprintf("container %s: a mount can only be a whole volume here", c.Name)
			}
		}
		for _, probe := range []*core.Probe{c.StartupProbe, c.LivenessProbe, c.ReadinessProbe} {
			if probe != nil && probe.HTTPGet == nil {
				return fmt.Sprintf("container %s: probes can only be httpGet here", c.Name)
			}
		}
	}
	return ""
}
