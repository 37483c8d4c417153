// Generator serves counters and gauges the way most Go programs do: vectors of client_golang, its
// registry, its HTTP handler with the options that it has by itself.
//
// Series, values and ticks are those that measure.py writes into Mockingbird's configuration: half
// Poisson counters, half random walks, all of them changed at each tick. The children of the
// vectors are looked up once, not at each tick, and a tick holds no lock, so a scrape may see a
// part of it; that is the fastest this library can do.
package main

import (
	"flag"
	"fmt"
	"log"
	"math"
	"math/rand/v2"
	"net"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

const (
	clusters = 10
	devices  = 50
	mean     = 10.0 // of the events that a counter counts per tick
	step     = 0.01 // standard deviation of a gauge's step
)

func main() {
	listen := flag.String("listen", "127.0.0.1:0", "address to serve on")
	hosts := flag.Int("hosts", 10, "hosts; a thousand series each")
	interval := flag.Duration("interval", time.Second, "between ticks")
	flag.Parse()

	labels := []string{"cluster", "host", "device"}
	requests := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "bench_requests_total", Help: "Requests handled.",
	}, labels)
	load := prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "bench_load", Help: "Load of a device.",
	}, labels)
	lagMax := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "gen_tick_lag_seconds_max", Help: "How late the latest of all ticks began.",
	})
	registry := prometheus.NewRegistry()
	registry.MustRegister(requests, load, lagMax)

	size := clusters * *hosts * devices
	counters := make([]prometheus.Counter, 0, size)
	gauges := make([]prometheus.Gauge, 0, size)
	for cluster := range clusters {
		for host := range *hosts {
			for device := range devices {
				values := []string{
					fmt.Sprintf("cluster-%d", cluster),
					fmt.Sprintf("host-%06d", host),
					fmt.Sprintf("dev%02d", device),
				}
				counters = append(counters, requests.WithLabelValues(values...))
				gauges = append(gauges, load.WithLabelValues(values...))
			}
		}
	}
	walks := make([]float64, size)
	for i := range walks {
		walks[i] = 0.5
	}
	random := rand.New(rand.NewPCG(42, 0))
	poisson := newPoisson(mean)
	tick := func() {
		for _, counter := range counters {
			counter.Add(poisson.draw(random))
		}
		for i, gauge := range gauges {
			walks[i] = reflect(walks[i] + step*random.NormFloat64())
			gauge.Set(walks[i])
		}
	}
	tick()

	listener, err := net.Listen("tcp", *listen)
	if err != nil {
		log.Fatal(err)
	}
	http.Handle("/metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{}))
	go func() { log.Fatal(http.Serve(listener, nil)) }()

	// A late tick runs late and none is left out, as Mockingbird does it.
	longest := time.Duration(0)
	for due := time.Now().Truncate(*interval).Add(*interval); ; due = due.Add(*interval) {
		time.Sleep(time.Until(due))
		if lag := time.Since(due); lag > longest {
			longest = lag
			lagMax.Set(lag.Seconds())
		}
		tick()
	}
}

// reflect folds a value back into 0 to 1.
func reflect(value float64) float64 {
	if value < 0 {
		return -value
	}
	if value > 1 {
		return 2 - value
	}
	return value
}

// poisson draws by looking up a uniform number among the cumulated probabilities.
type poisson []float64

func newPoisson(mean float64) poisson {
	var cumulated poisson
	probability, sum := math.Exp(-mean), 0.0
	for k := 1.0; sum < 1-1e-12; k++ {
		sum += probability
		cumulated = append(cumulated, sum)
		probability *= mean / k
	}
	return cumulated
}

func (p poisson) draw(random *rand.Rand) float64 {
	uniform := random.Float64()
	for k, sum := range p {
		if uniform < sum {
			return float64(k)
		}
	}
	return float64(len(p))
}
