package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"strings"
	"time"

	core "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// probeAll probes a container that was just started until it ends: first whether it has started,
// then whether it lives and whether it is ready.
func (p *pod) probeAll(c *container) {
	ctx, stop := context.WithCancel(context.Background())
	c.process.stopProbes = stop
	start := c.restarts
	tell := func(apply func(*container)) {
		select {
		case p.events <- event{of: c, start: start, apply: apply}:
		case <-ctx.Done():
		}
	}
	spec := c.spec
	grace := p.graceOf
	startup := func() bool {
		if spec.StartupProbe == nil {
			return true
		}
		passed := false
		p.probe(ctx, spec, spec.StartupProbe, func(ok bool) bool {
			passed = ok
			return false
		})
		return passed
	}
	go func() {
		if !startup() {
			tell(func(c *container) { p.fail(c, "startup", grace(spec.StartupProbe)) })
			return
		}
		tell(func(c *container) { c.started, c.ready = true, spec.ReadinessProbe == nil })
		if spec.LivenessProbe != nil {
			go p.probe(ctx, spec, spec.LivenessProbe, func(ok bool) bool {
				if !ok {
					tell(func(c *container) { p.fail(c, "liveness", grace(spec.LivenessProbe)) })
				}
				return ok
			})
		}
		if spec.ReadinessProbe != nil {
			p.probe(ctx, spec, spec.ReadinessProbe, func(ok bool) bool {
				tell(func(c *container) { c.ready = ok })
				return true
			})
		}
	}()
}

// graceOf is how long a container has to end after its probe has failed.
func (p *pod) graceOf(probe *core.Probe) time.Duration {
	seconds := *p.object.Spec.TerminationGracePeriodSeconds
	if probe.TerminationGracePeriodSeconds != nil {
		seconds = *probe.TerminationGracePeriodSeconds
	}
	return time.Duration(seconds) * time.Second
}

// fail ends a container that a probe has found dead.
func (p *pod) fail(c *container, kind string, grace time.Duration) {
	p.log("%s: the %s probe failed", c.spec.Name, kind)
	p.stop(c, grace)
}

// probe asks again and again, and tells judge what it is worth whenever its thresholds say so,
// as long as that says to go on.
func (p *pod) probe(ctx context.Context, c *core.Container, probe *core.Probe, judge func(ok bool) bool) {
	url, err := p.urlOf(c, probe.HTTPGet)
	if err != nil {
		p.log("%s: %v", c.Name, err)
	}
	client := &http.Client{
		Timeout:       time.Duration(probe.TimeoutSeconds) * time.Second,
		Transport:     &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{InsecureSkipVerify: true}},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	ask := func() bool {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			return false
		}
		for _, header := range probe.HTTPGet.HTTPHeaders {
			if strings.EqualFold(header.Name, "Host") {
				request.Host = header.Value
			}
			request.Header.Add(header.Name, header.Value)
		}
		response, err := client.Do(request)
		if err != nil {
			return false
		}
		response.Body.Close()
		return response.StatusCode >= 200 && response.StatusCode < 400
	}
	var last, in int32 // the latest answer, and how often it came in a row
	wait := time.Duration(probe.InitialDelaySeconds) * time.Second
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
		wait = time.Duration(probe.PeriodSeconds) * time.Second
		ok := ask()
		if ctx.Err() != nil {
			return
		}
		answer, threshold := int32(1), probe.SuccessThreshold
		if !ok {
			answer, threshold = -1, probe.FailureThreshold
		}
		if answer != last {
			last, in = answer, 0
		}
		if in++; in >= threshold && !judge(ok) {
			return
		}
	}
}

// urlOf is where a probe asks, at the pod's address or the host that it names.
func (p *pod) urlOf(c *core.Container, get *core.HTTPGetAction) (string, error) {
	host, port := get.Host, get.Port.IntVal
	if host == "" {
		host = p.address
	}
	if get.Port.Type == intstr.String {
		for _, named := range c.Ports {
			if named.Name == get.Port.StrVal {
				port = named.ContainerPort
			}
		}
		if port == 0 {
			return "", fmt.Errorf("no port is called %q", get.Port.StrVal)
		}
	}
	return fmt.Sprintf("%s://%s%s", strings.ToLower(string(get.Scheme)),
		net.JoinHostPort(host, fmt.Sprint(port)), get.Path), nil
}
