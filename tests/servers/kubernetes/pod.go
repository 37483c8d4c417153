package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"time"

	core "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/errors"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

const (
	// How often volumes are compared with the ConfigMaps and Secrets that they show.
	refreshEvery = 2 * time.Second
	// A container that ends is started again after the first, then twice as long, and so on.
	restartFirst, restartMost = time.Second, 30 * time.Second
)

// A pod of this node. Its goroutine alone, run, touches its containers; everything else tells
// it what happened.
type pod struct {
	node       *node
	object     *core.Pod
	address    string
	folder     string
	containers []*container
	seen       meta.Time // when it came here
	refreshed  time.Time
	written    map[string]map[string]string // what the files of volumes say, by folder
	reported   *core.PodStatus
	reportAt   time.Time // after a report that failed

	shown  chan *core.Pod // the newest object
	events chan event
	gone   chan struct{} // closed once the object is no more
	ended  chan struct{} // closed once nothing of it runs
}

// Something that happened to a container.
type event struct {
	of *container
	// Of which start of it; what happened to an earlier one is of no interest.
	start int32
	// Its change.
	apply func(*container)
}

// A container, and what became of it so far.
type container struct {
	spec     *core.Container
	state    core.ContainerState
	last     core.ContainerState
	restarts int32
	// Whether it passed its startup probe, and its readiness probe.
	started, ready bool
	process        *process
	// When a failed one may be tried again, and how long it is waited for the time after.
	retryAt time.Time
	delay   time.Duration
	// When it is killed, once it was asked to end.
	killAt time.Time
}

func newPod(n *node, object *core.Pod, address string) *pod {
	p := &pod{
		node: n, object: object, address: address, seen: meta.Now().Rfc3339Copy(),
		folder:  filepath.Join(n.folder, "pods", string(object.UID)),
		written: map[string]map[string]string{},
		shown:   make(chan *core.Pod, 1), events: make(chan event, 16),
		gone: make(chan struct{}), ended: make(chan struct{}),
	}
	for i := range object.Spec.Containers {
		waiting := core.ContainerState{Waiting: &core.ContainerStateWaiting{Reason: "ContainerCreating"}}
		p.containers = append(p.containers, &container{
			spec: &object.Spec.Containers[i], state: waiting, delay: restartFirst,
		})
	}
	return p
}

// show hands over a changed object; one that was not seen yet is out of date.
func (p *pod) show(object *core.Pod) {
	select {
	case <-p.shown:
	default:
	}
	p.shown <- object
}

// vanish ends everything at once.
func (p *pod) vanish() { close(p.gone) }

// run lives as long as the pod: whatever happens, it does what is to be done next, and tells the
// cluster what is new.
func (p *pod) run(ctx context.Context) {
	defer close(p.ended)
	ticker := time.NewTicker(200 * time.Millisecond)
	defer ticker.Stop()
	if why := refused(p.object); why != "" {
		p.log("it is not run: %s", why)
	}
	for {
		if finished := p.step(ctx); finished {
			break
		}
		select {
		case p.object = <-p.shown:
		case event := <-p.events:
			if event.of.process != nil && event.start == event.of.restarts {
				event.apply(event.of)
			}
		case <-ticker.C:
		case <-p.gone:
			p.killAll()
			return
		}
	}
	// What is sent meanwhile is of no interest any more.
	<-p.gone
	p.killAll()
}

// step does what is to be done now; true once nothing is left to do.
func (p *pod) step(ctx context.Context) bool {
	p.reap()
	deleted := p.object.DeletionTimestamp != nil
	switch {
	case deleted:
		p.stopAll()
	case refused(p.object) != "":
	case p.phase() != core.PodSucceeded && p.phase() != core.PodFailed:
		p.startAll(ctx)
	}
	reported := p.report(ctx)
	if !deleted || !reported || p.runs() {
		return false
	}
	zero := int64(0)
	options := meta.DeleteOptions{GracePeriodSeconds: &zero, Preconditions: &meta.Preconditions{UID: &p.object.UID}}
	err := p.node.client.CoreV1().Pods(p.object.Namespace).Delete(ctx, p.object.Name, options)
	if err != nil && !errors.IsNotFound(err) {
		p.log("deleting it: %v", err)
		return false
	}
	return true
}

// reap takes notice of processes that have ended.
func (p *pod) reap() {
	for _, c := range p.containers {
		if c.process == nil {
			continue
		}
		select {
		case exit := <-c.process.exited:
			c.process.stopProbes()
			c.process = nil
			c.started, c.ready = false, false
			c.state = core.ContainerState{Terminated: exit}
			p.log("%s ended with %d", c.spec.Name, exit.ExitCode)
			if p.willRestart(c) {
				if time.Since(exit.StartedAt.Time) > time.Minute {
					c.delay = restartFirst
				}
				c.last = c.state
				c.state = waiting("CrashLoopBackOff", "")
				c.retryAt = time.Now().Add(c.delay)
				c.delay = min(2*c.delay, restartMost)
				c.restarts++
			}
		default:
		}
	}
}

func waiting(reason, message string) core.ContainerState {
	return core.ContainerState{Waiting: &core.ContainerStateWaiting{Reason: reason, Message: message}}
}

// willRestart tells of a container that has ended whether it is started again.
func (p *pod) willRestart(c *container) bool {
	if p.object.DeletionTimestamp != nil {
		return false
	}
	switch p.object.Spec.RestartPolicy {
	case core.RestartPolicyNever:
		return false
	case core.RestartPolicyOnFailure:
		return c.state.Terminated.ExitCode != 0
	default:
		return true
	}
}

// startAll starts the containers that are to run, and renews the volumes.
func (p *pod) startAll(ctx context.Context) {
	now := time.Now()
	if now.Sub(p.refreshed) >= refreshEvery {
		p.refreshed = now
		if err := p.writeVolumes(ctx); err != nil {
			for _, c := range p.containers {
				if c.process == nil {
					c.state = waiting("ContainerCreating", err.Error())
					c.retryAt = now.Add(restartFirst)
				}
			}
			p.log("volumes: %v", err)
		}
	}
	for _, c := range p.containers {
		switch {
		case c.process == nil && c.state.Terminated == nil && !now.Before(c.retryAt):
			process, err := p.start(ctx, c)
			if err != nil {
				p.log("%s: %v", c.spec.Name, err)
				c.state = waiting("CreateContainerConfigError", err.Error())
				c.retryAt = now.Add(restartFirst)
				continue
			}
			c.process = process
			c.killAt = time.Time{}
			c.state = core.ContainerState{Running: &core.ContainerStateRunning{StartedAt: meta.NewTime(process.began)}}
			p.probeAll(c)
		case c.process != nil && !c.killAt.IsZero() && now.After(c.killAt):
			c.process.kill()
		}
	}
}

// stop asks a container to end; it is killed if it doesn't within the pod's grace period.
func (p *pod) stop(c *container, grace time.Duration) {
	if c.killAt.IsZero() {
		c.process.terminate()
		c.killAt = time.Now().Add(grace)
	}
}

// stopAll ends the containers of a pod that is being deleted.
func (p *pod) stopAll() {
	grace := time.Duration(*p.object.DeletionGracePeriodSeconds) * time.Second
	for _, c := range p.containers {
		if c.process != nil {
			p.stop(c, grace)
			if time.Now().After(c.killAt) {
				c.process.kill()
			}
		} else if c.state.Waiting != nil {
			c.state = core.ContainerState{Terminated: &core.ContainerStateTerminated{
				ExitCode: 137, Reason: "ContainerStatusUnknown", Message: "deleted before it ran", FinishedAt: meta.Now(),
			}}
		}
	}
}

// killAll ends all processes, waits for them and removes the pod's folder.
func (p *pod) killAll() {
	for _, c := range p.containers {
		if c.process != nil {
			c.process.stopProbes()
			c.process.kill()
			<-c.process.exited
			c.process = nil
		}
	}
	if err := os.RemoveAll(p.folder); err != nil {
		p.log("%v", err)
	}
}

func (p *pod) runs() bool {
	for _, c := range p.containers {
		if c.process != nil {
			return true
		}
	}
	return false
}

func (p *pod) phase() core.PodPhase {
	if refused(p.object) != "" {
		return core.PodFailed
	}
	failed, begun := false, false
	ended := 0
	for _, c := range p.containers {
		begun = begun || c.state.Waiting == nil || c.restarts > 0
		if c.state.Terminated != nil {
			ended++
			failed = failed || c.state.Terminated.ExitCode != 0
		}
	}
	switch {
	case ended == len(p.containers) && failed:
		return core.PodFailed
	case ended == len(p.containers):
		return core.PodSucceeded
	case begun:
		return core.PodRunning
	default:
		return core.PodPending
	}
}

// status is what the cluster should know. Times of conditions are those of their last change.
func (p *pod) status() core.PodStatus {
	status := core.PodStatus{
		Phase:              p.phase(),
		ObservedGeneration: p.object.Generation,
		HostIP:             hostIP, HostIPs: []core.HostIP{{IP: hostIP}},
		PodIP: p.address, PodIPs: []core.PodIP{{IP: p.address}},
		StartTime: &p.seen,
	}
	if why := refused(p.object); why != "" {
		status.Reason, status.Message = "Unsupported", why
	}
	allReady := status.Phase == core.PodRunning
	for _, c := range p.containers {
		allReady = allReady && c.ready
		started := c.started
		status.ContainerStatuses = append(status.ContainerStatuses, core.ContainerStatus{
			Name: c.spec.Name, Image: c.spec.Image, ImageID: c.spec.Image,
			ContainerID: fmt.Sprintf("processes://%s-%s-%d", p.object.UID, c.spec.Name, c.restarts),
			State:       c.state, LastTerminationState: c.last, RestartCount: c.restarts,
			Started: &started, Ready: c.ready,
		})
	}
	truth := map[bool]core.ConditionStatus{true: core.ConditionTrue, false: core.ConditionFalse}
	for kind, is := range map[core.PodConditionType]bool{
		core.PodReadyToStartContainers: true, core.PodInitialized: true,
		core.ContainersReady: allReady, core.PodReady: allReady,
	} {
		condition := core.PodCondition{
			Type: kind, Status: truth[is], ObservedGeneration: p.object.Generation,
			LastTransitionTime: meta.Now().Rfc3339Copy(),
		}
		for _, known := range p.object.Status.Conditions {
			if known.Type == kind && known.Status == condition.Status {
				condition.LastTransitionTime = known.LastTransitionTime
			}
		}
		status.Conditions = append(status.Conditions, condition)
	}
	return status
}

// report tells the cluster the status where it has changed; true if the cluster knows it.
func (p *pod) report(ctx context.Context) bool {
	status := p.status()
	if p.reported != nil && sameStatus(p.reported, &status) {
		return true
	}
	if time.Now().Before(p.reportAt) {
		return false
	}
	patch, err := json.Marshal(map[string]any{
		"metadata": map[string]any{"uid": p.object.UID}, "status": status,
	})
	if err != nil {
		panic(err) // the API's types can be written
	}
	pods := p.node.client.CoreV1().Pods(p.object.Namespace)
	object, err := pods.Patch(ctx, p.object.Name, types.StrategicMergePatchType, patch, meta.PatchOptions{}, "status")
	switch {
	case errors.IsNotFound(err) || errors.IsConflict(err):
		// Another one has its name, or nobody: the end of this one is about to be heard of.
		return true
	case err != nil:
		p.log("status: %v", err)
		p.reportAt = time.Now().Add(restartFirst)
		return false
	}
	p.object.Status = object.Status
	p.reported = &status
	return true
}

// sameStatus compares without the times of conditions and their order.
func sameStatus(a, b *core.PodStatus) bool {
	conditions := func(s *core.PodStatus) map[core.PodConditionType]core.ConditionStatus {
		all := map[core.PodConditionType]core.ConditionStatus{}
		for _, c := range s.Conditions {
			all[c.Type] = c.Status
		}
		return all
	}
	return a.Phase == b.Phase && a.ObservedGeneration == b.ObservedGeneration &&
		equality.Semantic.DeepEqual(a.ContainerStatuses, b.ContainerStatuses) &&
		equality.Semantic.DeepEqual(conditions(a), conditions(b))
}

func (p *pod) log(format string, arguments ...any) {
	log.Printf("%s/%s: %s", p.object.Namespace, p.object.Name, fmt.Sprintf(format, arguments...))
}
