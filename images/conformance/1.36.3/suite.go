//go:build suite

// Package suite names what this module is for: the Kubernetes project's own
// tests of release 1.36.3, the program that runs them, and the programs in
// the images that they use. Nothing of it is compiled; `go mod tidy` reads it.
package suite

import (
	_ "github.com/onsi/ginkgo/v2/ginkgo"
	_ "k8s.io/kubernetes/test/e2e"
	_ "k8s.io/kubernetes/test/images/agnhost"
	_ "k8s.io/kubernetes/test/images/nonewprivs"
	_ "k8s.io/kubernetes/test/images/resource-consumer"
	_ "k8s.io/kubernetes/test/images/resource-consumer/consume-cpu"
	_ "k8s.io/sample-apiserver"
)
