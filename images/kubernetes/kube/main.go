// Command kube is the whole of Kubernetes that a node of a Jeroboam cluster
// runs, in one static program: it becomes the component whose name it was
// called by (kube-apiserver, kubelet, ..., kubectl). One program shares the
// code that six would hold six times: 139 MB instead of 500.
//
// This file is the same for all releases; ./VERSION/go.mod says which one.
package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"
	"time"
	_ "time/tzdata" // time zones of CronJobs: the image has no /usr/share/zoneinfo

	"github.com/spf13/cobra"
	_ "k8s.io/client-go/plugin/pkg/client/auth" // kubectl's login plug-ins
	"k8s.io/component-base/cli"
	"k8s.io/component-base/logs"
	_ "k8s.io/component-base/logs/json/register"          // --logging-format=json
	_ "k8s.io/component-base/metrics/prometheus/clientgo" // request metrics
	_ "k8s.io/component-base/metrics/prometheus/version"  // the version metric
	kubectl "k8s.io/kubectl/pkg/cmd"
	kubectlutil "k8s.io/kubectl/pkg/cmd/util"
	apiserver "k8s.io/kubernetes/cmd/kube-apiserver/app"
	controllermanager "k8s.io/kubernetes/cmd/kube-controller-manager/app"
	proxy "k8s.io/kubernetes/cmd/kube-proxy/app"
	scheduler "k8s.io/kubernetes/cmd/kube-scheduler/app"
	kubelet "k8s.io/kubernetes/cmd/kubelet/app"
)

const (
	// All components start at once on few cores; until then garbage is
	// cheaper kept than collected.
	startPercent  = 400
	steadyPercent = 100
	startPhase    = time.Minute
)

var components = map[string]func() *cobra.Command{
	"kube-apiserver":          apiserver.NewAPIServerCommand,
	"kube-controller-manager": controllermanager.NewControllerManagerCommand,
	"kube-proxy":              proxy.NewProxyCommand,
	"kube-scheduler": func() *cobra.Command {
		return scheduler.NewSchedulerCommand() // may take plug-ins; none
	},
	"kubelet": func() *cobra.Command {
		return kubelet.NewKubeletCommand(context.Background())
	},
}

func main() {
	name := filepath.Base(os.Args[0])
	if name == "kube" && len(os.Args) > 1 { // `kube kubelet --version`
		os.Args = os.Args[1:]
		name = os.Args[0]
	}
	if name == "kubectl" {
		runKubectl()
		return
	}
	newCommand, known := components[name]
	if !known {
		fmt.Fprintf(os.Stderr, "kube: %q is none of kube-apiserver, kube-controller-manager, "+
			"kube-scheduler, kube-proxy, kubelet, kubectl\n", name)
		os.Exit(2)
	}
	delayCollection()
	os.Exit(cli.Run(newCommand()))
}

// delayCollection lets the heap grow during the start. An operator's GOGC
// has the last word.
func delayCollection() {
	if os.Getenv("GOGC") != "" {
		return
	}
	debug.SetGCPercent(startPercent)
	time.AfterFunc(startPhase, func() { debug.SetGCPercent(steadyPercent) })
}

// runKubectl follows cmd/kubectl: the verbosity counts before the command
// is built, and errors are printed for people.
func runKubectl() {
	_, _ = logs.GlogSetter(kubectl.GetLogVerbosity(os.Args))
	if err := cli.RunNoErrOutput(kubectl.NewDefaultKubectlCommand()); err != nil {
		kubectlutil.CheckErr(err)
	}
}
