package main

import (
	"context"
	"fmt"
	"log"
	"runtime"
	"sync"
	"time"

	coordination "k8s.io/api/coordination/v1"
	core "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
)

const (
	hostIP        = "127.0.0.1"
	leaseDuration = 40 * time.Second
	podsMax       = 250
)

// register makes the node known and ready. Another one of its name is the same one, earlier.
func register(ctx context.Context, client kubernetes.Interface, name string) error {
	nodes := client.CoreV1().Nodes()
	labels := map[string]string{
		core.LabelHostname: name, core.LabelOSStable: runtime.GOOS, core.LabelArchStable: runtime.GOARCH,
	}
	node, err := nodes.Create(ctx, &core.Node{ObjectMeta: meta.ObjectMeta{Name: name, Labels: labels}}, meta.CreateOptions{})
	if errors.IsAlreadyExists(err) {
		node, err = nodes.Get(ctx, name, meta.GetOptions{})
	}
	if err != nil {
		return fmt.Errorf("registering the node: %w", err)
	}
	// Nobody is limited by these: they are what the scheduler counts with.
	node.Status.Capacity = core.ResourceList{
		core.ResourceCPU:              resource.MustParse("16"),
		core.ResourceMemory:           resource.MustParse("64Gi"),
		core.ResourceEphemeralStorage: resource.MustParse("64Gi"),
		core.ResourcePods:             *resource.NewQuantity(podsMax, resource.DecimalSI),
	}
	node.Status.Allocatable = node.Status.Capacity
	node.Status.Addresses = []core.NodeAddress{
		{Type: core.NodeInternalIP, Address: hostIP}, {Type: core.NodeHostName, Address: name},
	}
	node.Status.NodeInfo = core.NodeSystemInfo{
		OperatingSystem: runtime.GOOS, Architecture: runtime.GOARCH, ContainerRuntimeVersion: "processes://1",
	}
	node.Status.Conditions = []core.NodeCondition{{
		Type: core.NodeReady, Status: core.ConditionTrue, Reason: "AgentReady",
		LastHeartbeatTime: meta.Now(), LastTransitionTime: meta.Now(),
	}}
	if _, err = nodes.UpdateStatus(ctx, node, meta.UpdateOptions{}); err != nil {
		return fmt.Errorf("the node's status: %w", err)
	}
	return nil
}

// renewLease tells the cluster that the node lives, until the context ends.
func renewLease(ctx context.Context, client kubernetes.Interface, name string) {
	leases := client.CoordinationV1().Leases(core.NamespaceNodeLease)
	seconds := int32(leaseDuration / time.Second)
	for ctx.Err() == nil {
		now := meta.NowMicro()
		spec := coordination.LeaseSpec{HolderIdentity: &name, LeaseDurationSeconds: &seconds, RenewTime: &now}
		lease, err := leases.Get(ctx, name, meta.GetOptions{})
		if errors.IsNotFound(err) {
			lease = &coordination.Lease{ObjectMeta: meta.ObjectMeta{Name: name}, Spec: spec}
			_, err = leases.Create(ctx, lease, meta.CreateOptions{})
		} else if err == nil {
			lease.Spec = spec
			_, err = leases.Update(ctx, lease, meta.UpdateOptions{})
		}
		wait := leaseDuration / 4
		if err != nil {
			log.Printf("lease: %v", err)
			// Among others until the cluster has made the namespace.
			wait = time.Second
		}
		select {
		case <-ctx.Done():
		case <-time.After(wait):
		}
	}
}

// A node and the pods that are bound to it.
type node struct {
	client   kubernetes.Interface
	name     string
	folder   string
	network  string
	programs images

	mutex sync.Mutex
	pods  map[types.UID]*pod
	// How many addresses were given away.
	addresses int
}

// runPods runs every pod that is bound to the node, until the context ends. None may have run
// here before: what became of it is not remembered.
func (n *node) runPods(ctx context.Context) error {
	n.pods = map[types.UID]*pod{}
	ours := fields.OneTermEqualSelector("spec.nodeName", n.name).String()
	factory := informers.NewSharedInformerFactoryWithOptions(n.client, 0,
		informers.WithTweakListOptions(func(o *meta.ListOptions) { o.FieldSelector = ours }))
	informer := factory.Core().V1().Pods().Informer()
	_, err := informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    func(object any) { n.see(ctx, object.(*core.Pod)) },
		UpdateFunc: func(_, object any) { n.see(ctx, object.(*core.Pod)) },
		DeleteFunc: func(object any) {
			if last, ok := object.(cache.DeletedFinalStateUnknown); ok {
				object = last.Obj
			}
			n.forget(object.(*core.Pod).UID)
		},
	})
	if err != nil {
		return err
	}
	factory.Start(ctx.Done())
	if !cache.WaitForCacheSync(ctx.Done(), informer.HasSynced) {
		return ctx.Err()
	}
	log.Printf("node %s is ready", n.name)
	<-ctx.Done()
	n.mutex.Lock()
	defer n.mutex.Unlock()
	for _, pod := range n.pods {
		pod.vanish()
		<-pod.ended
	}
	return nil
}

// see begins to run a pod, or shows it its changed object.
func (n *node) see(ctx context.Context, object *core.Pod) {
	n.mutex.Lock()
	defer n.mutex.Unlock()
	if known, ok := n.pods[object.UID]; ok {
		known.show(object)
		return
	}
	pod := newPod(n, object, n.nextAddress())
	n.pods[object.UID] = pod
	go pod.run(context.WithoutCancel(ctx))
}

// forget ends a pod whose object is gone.
func (n *node) forget(uid types.UID) {
	n.mutex.Lock()
	defer n.mutex.Unlock()
	if pod, ok := n.pods[uid]; ok {
		pod.vanish()
		delete(n.pods, uid)
	}
}

// nextAddress is one of the node's network; a test never has so many pods that one comes again.
func (n *node) nextAddress() string {
	n.addresses++
	return fmt.Sprintf("%s.%d.%d", n.network, n.addresses/250, n.addresses%250+1)
}
