package main

import (
	"bufio"
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"time"
)

// A stream is a TCP connection that begins with one byte, 'S' of a source or 'V' of a viewer, and then carries frames: the
// length of the picture (4 bytes), its number at the source (8), when it was sent (nanoseconds, 8), which way it came (its
// length in 2 bytes, and words with spaces between), and the picture.
const (
	fromSource  = 'S'
	toViewer    = 'V'
	headerSize  = 22
	largest     = 16 << 20
	queueLength = 64
)

type frame struct {
	number uint64
	sent   time.Time
	// way has the source's host; the server adds the address that the source came from, and its own host.
	way     string
	picture []byte
}

func readFrame(reader io.Reader) (frame, error) {
	var header [headerSize]byte
	if _, err := io.ReadFull(reader, header[:]); err != nil {
		return frame{}, err
	}
	size := binary.BigEndian.Uint32(header[:4])
	if size > largest {
		return frame{}, fmt.Errorf("a picture of %d bytes is too large", size)
	}
	length := binary.BigEndian.Uint16(header[20:])
	rest := make([]byte, int(length)+int(size))
	_, err := io.ReadFull(reader, rest)
	return frame{
		number: binary.BigEndian.Uint64(header[4:]), sent: time.Unix(0, int64(binary.BigEndian.Uint64(header[12:]))),
		way: string(rest[:length]), picture: rest[length:],
	}, err
}

func writeFrame(writer io.Writer, written frame) error {
	buffer := make([]byte, headerSize, headerSize+len(written.way)+len(written.picture))
	binary.BigEndian.PutUint32(buffer, uint32(len(written.picture)))
	binary.BigEndian.PutUint64(buffer[4:], written.number)
	binary.BigEndian.PutUint64(buffer[12:], uint64(written.sent.UnixNano()))
	binary.BigEndian.PutUint16(buffer[20:], uint16(len(written.way)))
	_, err := writer.Write(append(append(buffer, written.way...), written.picture...))
	return err
}

// hub hands each frame to every viewer; a viewer that cannot follow misses frames, it slows nobody down.
type hub struct {
	mutex   sync.Mutex
	viewers map[chan frame]bool
}

func (all *hub) join() chan frame {
	queue := make(chan frame, queueLength)
	all.mutex.Lock()
	defer all.mutex.Unlock()
	all.viewers[queue] = true
	return queue
}

func (all *hub) leave(queue chan frame) {
	all.mutex.Lock()
	defer all.mutex.Unlock()
	delete(all.viewers, queue)
}

func (all *hub) send(sent frame) {
	all.mutex.Lock()
	defer all.mutex.Unlock()
	for queue := range all.viewers {
		select {
		case queue <- sent:
		default:
		}
	}
}

// stream is the server: pictures come from sources and go to viewers.
func stream(arguments []string) error {
	options := flag.NewFlagSet("stream", flag.ContinueOnError)
	listen := options.String("listen", ":"+fallback(os.Getenv("PORT"), "1935"), "address to listen on")
	if err := options.Parse(arguments); err != nil {
		return err
	}
	until, cancel := ended()
	defer cancel()
	listener, err := net.Listen("tcp", *listen)
	if err != nil {
		return err
	}
	go func() {
		<-until.Done()
		_ = listener.Close()
	}()
	all := &hub{viewers: map[chan frame]bool{}}
	for {
		connection, err := listener.Accept()
		if err != nil {
			if until.Err() != nil {
				return nil
			}
			return err
		}
		go attend(all, connection)
	}
}

func attend(all *hub, connection net.Conn) {
	defer connection.Close()
	reader := bufio.NewReader(connection)
	switch kind, err := reader.ReadByte(); {
	case err != nil: // a probe that only connects
	case kind == fromSource:
		address, _, _ := net.SplitHostPort(connection.RemoteAddr().String())
		host, _ := os.Hostname()
		for {
			read, err := readFrame(reader)
			if err != nil {
				return
			}
			read.way += " " + address + " " + host
			all.send(read)
		}
	case kind == toViewer:
		queue := all.join()
		defer all.leave(queue)
		gone := make(chan struct{})
		go func() {
			_, _ = reader.ReadByte() // a viewer says nothing more: this ends with the connection
			close(gone)
		}()
		for {
			select {
			case next := <-queue:
				if writeFrame(connection, next) != nil {
					return
				}
			case <-gone:
				return
			}
		}
	}
}

// source sends pictures of one size at a steady rate.
func source(arguments []string) error {
	options := flag.NewFlagSet("source", flag.ContinueOnError)
	server := options.String("server", fallback(os.Getenv("SERVER"), "stream:1935"), "the stream server")
	rate := options.Float64("rate", 30, "pictures in a second")
	size := options.Int("size", 20_000, "bytes of a picture")
	if err := options.Parse(arguments); err != nil {
		return err
	}
	if *rate <= 0 || *size < 0 || *size > largest {
		return errors.New("the rate must be positive and the size between 0 and 16777216")
	}
	picture := make([]byte, *size)
	host, _ := os.Hostname()
	number := uint64(0) // goes on when the connection breaks, so that viewers can tell what was lost
	ticker := time.NewTicker(time.Duration(float64(time.Second) / *rate))
	defer ticker.Stop()
	return connected(*server, fromSource, func(connection net.Conn, done <-chan struct{}) error {
		for {
			select {
			case <-ticker.C:
				next := frame{number, time.Now(), host, picture}
				number++
				if err := writeFrame(connection, next); err != nil {
					return err
				}
			case <-done:
				return nil
			}
		}
	})
}

// capture views the stream and tells how long pictures took from their source: as lines, and as JSON over HTTP.
func capture(arguments []string) error {
	options := flag.NewFlagSet("capture", flag.ContinueOnError)
	server := options.String("server", fallback(os.Getenv("SERVER"), "stream:1935"), "the stream server")
	listen := options.String("listen", ":"+fallback(os.Getenv("PORT"), "8080"), "address to serve the measurements on")
	window := options.Int("window", 300, "how many pictures a measurement is over")
	if err := options.Parse(arguments); err != nil {
		return err
	}
	measured := &latencies{window: max(*window, 1)}
	routes := http.NewServeMux()
	routes.HandleFunc("/", func(response http.ResponseWriter, _ *http.Request) {
		answer(response, http.StatusOK, measured.summary())
	})
	routes.HandleFunc("/frames", func(response http.ResponseWriter, _ *http.Request) {
		answer(response, http.StatusOK, measured.frames())
	})
	go func() {
		if err := serve(*listen, routes); err != nil {
			log.Print(err)
		}
	}()
	return connected(*server, toViewer, func(connection net.Conn, done <-chan struct{}) error {
		go func() {
			<-done
			_ = connection.Close()
		}()
		reader := bufio.NewReader(connection)
		for {
			viewed, err := readFrame(reader)
			if err != nil {
				return err
			}
			if count := measured.add(viewed, time.Since(viewed.sent)); count%measured.window == 0 {
				log.Print(measured.summary())
			}
		}
	})
}

// connected works on a connection to the server and makes a new one when it breaks, until this process shall end.
func connected(server string, kind byte, work func(net.Conn, <-chan struct{}) error) error {
	until, cancel := ended()
	defer cancel()
	for pause := 100 * time.Millisecond; until.Err() == nil; pause = min(pause*2, 5*time.Second) {
		connection, err := net.DialTimeout("tcp", server, 5*time.Second)
		if err == nil {
			if _, err = connection.Write([]byte{kind}); err == nil {
				pause = 100 * time.Millisecond
				err = work(connection, until.Done())
			}
			_ = connection.Close()
		}
		if err != nil && until.Err() == nil {
			log.Printf("%s: %v", server, err)
		}
		select {
		case <-time.After(pause):
		case <-until.Done():
		}
	}
	return nil
}

// latencies are what one viewer measured, and whether the pictures came whole and in their order.
type latencies struct {
	mutex      sync.Mutex
	window     int
	count      int
	way        string
	next       uint64 // the number that the next picture should have
	lost       uint64
	disordered int
	recent     []measurement
}

type measurement struct {
	number  uint64
	latency time.Duration
}

func (all *latencies) add(viewed frame, latency time.Duration) int {
	all.mutex.Lock()
	defer all.mutex.Unlock()
	switch {
	case viewed.way != all.way || viewed.number == 0: // another source or server, or one that started anew
	case viewed.number > all.next:
		all.lost += viewed.number - all.next
	case viewed.number < all.next:
		all.disordered++
	}
	all.way, all.next = viewed.way, viewed.number+1
	if measured := (measurement{viewed.number, latency}); len(all.recent) < all.window {
		all.recent = append(all.recent, measured)
	} else {
		all.recent[all.count%all.window] = measured
	}
	all.count++
	return all.count
}

// frames are the measurements of the window, the oldest first: numbers, and microseconds from send to view.
func (all *latencies) frames() map[string]any {
	all.mutex.Lock()
	defer all.mutex.Unlock()
	begin := 0
	if len(all.recent) == all.window {
		begin = all.count % all.window
	}
	numbers, latencies := make([]uint64, 0, len(all.recent)), make([]int64, 0, len(all.recent))
	for _, measured := range slices.Concat(all.recent[begin:], all.recent[:begin]) {
		numbers, latencies = append(numbers, measured.number), append(latencies, measured.latency.Microseconds())
	}
	return map[string]any{"numbers": numbers, "microseconds": latencies}
}

func (all *latencies) summary() map[string]any {
	all.mutex.Lock()
	defer all.mutex.Unlock()
	sorted := make([]time.Duration, 0, len(all.recent))
	for _, measured := range all.recent {
		sorted = append(sorted, measured.latency)
	}
	slices.Sort(sorted)
	result := map[string]any{"pictures": all.count, "lost": all.lost, "disordered": all.disordered, "window": len(sorted)}
	if way := strings.Fields(all.way); len(way) == 3 {
		result["source"], result["sourceAddress"], result["server"] = way[0], way[1], way[2]
	}
	if len(sorted) == 0 {
		return result
	}
	var sum time.Duration
	for _, latency := range sorted {
		sum += latency
	}
	milliseconds := func(latency time.Duration) float64 { return float64(latency.Microseconds()) / 1000 }
	result["meanMilliseconds"] = milliseconds(sum / time.Duration(len(sorted)))
	result["medianMilliseconds"] = milliseconds(sorted[len(sorted)/2])
	result["p95Milliseconds"] = milliseconds(sorted[len(sorted)*95/100])
	result["maxMilliseconds"] = milliseconds(sorted[len(sorted)-1])
	return result
}
