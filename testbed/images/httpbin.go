package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"time"
)

// httpbin answers with what it was asked, and with where it runs: enough to see which cluster a request came to.
func httpbin(arguments []string) error {
	options := flag.NewFlagSet("httpbin", flag.ContinueOnError)
	listen := options.String("listen", ":"+fallback(os.Getenv("PORT"), "80"), "address to listen on")
	if err := options.Parse(arguments); err != nil {
		return err
	}
	return serve(*listen, httpbinRoutes())
}

func httpbinRoutes() *http.ServeMux {
	host, _ := os.Hostname()
	routes := http.NewServeMux()
	echo := func(response http.ResponseWriter, request *http.Request) {
		body, _ := io.ReadAll(io.LimitReader(request.Body, 1<<20))
		origin, _, _ := net.SplitHostPort(request.RemoteAddr)
		answer(response, http.StatusOK, map[string]any{
			"method": request.Method, "url": request.URL.String(), "host": request.Host, "headers": request.Header,
			"args": request.URL.Query(), "data": string(body), "origin": origin, "hostname": host, "node": os.Getenv("NODE_NAME"),
		})
	}
	routes.HandleFunc("/", echo)
	routes.HandleFunc("/ip", func(response http.ResponseWriter, request *http.Request) {
		origin, _, _ := net.SplitHostPort(request.RemoteAddr)
		answer(response, http.StatusOK, map[string]any{"origin": origin})
	})
	routes.HandleFunc("/headers", func(response http.ResponseWriter, request *http.Request) {
		answer(response, http.StatusOK, map[string]any{"headers": request.Header})
	})
	routes.HandleFunc("/hostname", func(response http.ResponseWriter, _ *http.Request) {
		answer(response, http.StatusOK, map[string]any{"hostname": host})
	})
	routes.HandleFunc("/healthz", func(response http.ResponseWriter, _ *http.Request) {
		response.WriteHeader(http.StatusOK)
	})
	routes.HandleFunc("/status/{code}", func(response http.ResponseWriter, request *http.Request) {
		code, err := strconv.Atoi(request.PathValue("code"))
		if err != nil || code < 200 || code > 599 {
			answer(response, http.StatusBadRequest, map[string]any{"error": "the status must be between 200 and 599"})
			return
		}
		response.WriteHeader(code)
	})
	routes.HandleFunc("/bytes/{count}", func(response http.ResponseWriter, request *http.Request) {
		count, err := strconv.ParseInt(request.PathValue("count"), 10, 64)
		if err != nil || count < 0 {
			answer(response, http.StatusBadRequest, map[string]any{"error": "the count must be a number of bytes"})
			return
		}
		response.Header().Set("Content-Type", "application/octet-stream")
		_, _ = io.CopyN(response, zeroes{}, count)
	})
	routes.HandleFunc("/delay/{seconds}", func(response http.ResponseWriter, request *http.Request) {
		seconds, err := strconv.ParseFloat(request.PathValue("seconds"), 64)
		if err != nil || seconds < 0 || seconds > 10 {
			answer(response, http.StatusBadRequest, map[string]any{"error": "the delay must be between 0 and 10 seconds"})
			return
		}
		select {
		case <-time.After(time.Duration(seconds * float64(time.Second))):
			echo(response, request)
		case <-request.Context().Done():
		}
	})
	return routes
}

// serve answers until this process is asked to end; requests that are under way are answered first.
func serve(address string, handler http.Handler) error {
	until, cancel := ended()
	defer cancel()
	server := &http.Server{Addr: address, Handler: handler, ReadHeaderTimeout: 10 * time.Second}
	go func() {
		<-until.Done()
		limit, release := context.WithTimeout(context.Background(), 5*time.Second)
		defer release()
		_ = server.Shutdown(limit)
	}()
	if err := server.ListenAndServe(); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

func answer(response http.ResponseWriter, code int, value any) {
	response.Header().Set("Content-Type", "application/json")
	response.WriteHeader(code)
	encoder := json.NewEncoder(response)
	encoder.SetIndent("", "  ")
	_ = encoder.Encode(value)
}

type zeroes struct{}

func (zeroes) Read(buffer []byte) (int, error) {
	clear(buffer)
	return len(buffer), nil
}

func fallback(text, otherwise string) string {
	if text == "" {
		return otherwise
	}
	return text
}
