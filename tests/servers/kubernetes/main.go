// The node of a Kubernetes cluster for tests: it registers itself, and runs the containers of
// the pods that are bound to it as processes, without images, a container runtime or a network.
//
// What a pod gets is what a kubelet would give it, as far as it can be seen from within: host
// name, process and mount namespace, a root that is read-only if the pod says so, user, group
// and fsGroup, environment, volumes, probes, signals, restarts, and its status. Every pod has
// an address of the loopback interface and shares the host's network, so that containers have
// to listen at their own (fieldRef status.podIP). Resources are accounted by the scheduler and
// limited by nobody; there is no seccomp. A pod that asks for what isn't here fails, and says so.
//
//	node-agent --kubeconfig FILE --folder FOLDER --pod-network 127.1 --image mockingbird=/path/to/program
//
// The container of an image named so, whatever its registry and tag, has that program at
// /NAME, as its entry point. Needs to be root. FOLDER/logs has what containers print.
package main

import (
	"context"
	"flag"
	"fmt"
	"log"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"

	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
)

// The programs of images, by the last part of the image's name.
type images map[string]string

func (i images) String() string { return fmt.Sprint(map[string]string(i)) }

func (i images) Set(text string) error {
	name, path, ok := strings.Cut(text, "=")
	if !ok || name == "" || !filepath.IsAbs(path) {
		return fmt.Errorf("%q is not NAME=/path", text)
	}
	i[name] = path
	return nil
}

func main() {
	if len(os.Args) == 2 && os.Args[1] == sandboxArgument {
		log.Fatal(enterSandbox())
	}
	programs := images{}
	kubeconfig := flag.String("kubeconfig", "", "the cluster, and who to be there")
	name := flag.String("node-name", "node-1", "the node's name")
	folder := flag.String("folder", "", "where volumes and logs lie")
	network := flag.String("pod-network", "127.1", "the first two numbers of pods' addresses: nodes that run at once need different ones")
	flag.Var(programs, "image", "NAME=/path: the program of an image; repeatable")
	flag.Parse()
	if *kubeconfig == "" || *folder == "" || flag.NArg() > 0 {
		flag.Usage()
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, *kubeconfig, *name, *folder, *network, programs); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, kubeconfig, name, folder, network string, programs images) error {
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return err
	}
	// Each pod asks for its ConfigMaps all the time; nobody else is slowed down by it.
	config.QPS, config.Burst = 200, 400
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Join(folder, "logs"), 0o755); err != nil {
		return err
	}
	if err := register(ctx, client, name); err != nil {
		return err
	}
	go renewLease(ctx, client, name)
	node := &node{client: client, name: name, folder: folder, network: network, programs: programs}
	return node.runPods(ctx)
}
