// Discard is the receiver that no generator has to wait for: it reads each request to its end,
// throws it away and says yes. It counts requests and bytes; what is in them it does not look at,
// so that it costs every sender the same.
package main

import (
	"flag"
	"fmt"
	"io"
	"log"
	"net/http"
	"sync"
	"sync/atomic"
)

var (
	requests atomic.Int64
	bytes    atomic.Int64
	buffers  = sync.Pool{New: func() any { return new([256 << 10]byte) }}
)

func main() {
	listen := flag.String("listen", "127.0.0.1:0", "address to listen on")
	flag.Parse()
	// An empty body is the response of OTLP for "all taken".
	http.HandleFunc("POST /v1/metrics", func(w http.ResponseWriter, r *http.Request) {
		if discard(w, r) {
			w.Header().Set("Content-Type", "application/x-protobuf")
			w.WriteHeader(http.StatusOK)
		}
	})
	http.HandleFunc("POST /api/v1/write", func(w http.ResponseWriter, r *http.Request) {
		if discard(w, r) {
			w.WriteHeader(http.StatusNoContent)
		}
	})
	http.HandleFunc("GET /metrics", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, "discard_requests_total %d\ndiscard_bytes_total %d\n", requests.Load(), bytes.Load())
	})
	log.Fatal(http.ListenAndServe(*listen, nil))
}

// discard says whether the whole request arrived; only then it counts.
func discard(w http.ResponseWriter, r *http.Request) bool {
	buffer := buffers.Get().(*[256 << 10]byte)
	defer buffers.Put(buffer)
	length, err := io.CopyBuffer(struct{ io.Writer }{io.Discard}, r.Body, buffer[:])
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return false
	}
	requests.Add(1)
	bytes.Add(length)
	return true
}
