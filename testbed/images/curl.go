package main

import (
	"crypto/tls"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"
)

type headers []string

func (list *headers) String() string { return strings.Join(*list, ", ") }

func (list *headers) Set(value string) error {
	*list = append(*list, value)
	return nil
}

// curl makes one request, with those of curl's options that tests use.
func curl(arguments []string) error {
	var more headers
	options := flag.NewFlagSet("curl", flag.ContinueOnError)
	method := options.String("X", "", "method")
	data := options.String("d", "", "body")
	failing := options.Bool("f", false, "fail when the answer's status is 400 or more")
	silent := options.Bool("s", false, "no effect: it is silent anyway")
	insecure := options.Bool("k", false, "trust any certificate")
	format := options.String("w", "", "print this afterwards; %{http_code} and %{time_total} are replaced")
	output := options.String("o", "", "write the body to this file")
	limit := options.Float64("m", 30, "seconds until it gives up")
	options.Var(&more, "H", "a header")
	if err := options.Parse(longOptions(arguments)); err != nil {
		return err
	}
	_ = *silent
	if options.NArg() != 1 {
		return errors.New("say one URL")
	}
	request, err := newRequest(*method, options.Arg(0), *data, more)
	if err != nil {
		return err
	}
	transport := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: *insecure}} //nolint:gosec // -k says so
	client := &http.Client{Timeout: time.Duration(*limit * float64(time.Second)), Transport: transport}
	began := time.Now()
	response, err := client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	target := os.Stdout
	if *output != "" {
		if target, err = os.Create(*output); err != nil {
			return err
		}
		defer target.Close()
	}
	if _, err = io.Copy(target, response.Body); err != nil {
		return err
	}
	took := fmt.Sprintf("%.6f", time.Since(began).Seconds())
	code := fmt.Sprint(response.StatusCode)
	fmt.Print(strings.NewReplacer("%{http_code}", code, "%{time_total}", took, `\n`, "\n").Replace(*format))
	if *failing && response.StatusCode >= http.StatusBadRequest {
		return fmt.Errorf("the answer was %s", response.Status)
	}
	return nil
}

func newRequest(method, url, data string, more headers) (*http.Request, error) {
	if !strings.Contains(url, "://") {
		url = "http://" + url
	}
	if method == "" {
		method = http.MethodGet
		if data != "" {
			method = http.MethodPost
		}
	}
	request, err := http.NewRequest(method, url, strings.NewReader(data))
	if err != nil {
		return nil, err
	}
	for _, line := range more {
		name, value, _ := strings.Cut(line, ":")
		request.Header.Add(name, strings.TrimSpace(value))
		if strings.EqualFold(name, "Host") {
			request.Host = strings.TrimSpace(value)
		}
	}
	return request, nil
}

// longOptions spells curl's habits as Go's flags: -sf is -s -f, --max-time is -m.
func longOptions(arguments []string) []string {
	long := map[string]string{"--max-time": "-m", "--fail": "-f", "--silent": "-s", "--insecure": "-k", "--request": "-X", "--data": "-d", "--header": "-H", "--write-out": "-w", "--output": "-o"}
	var result []string
	for _, argument := range arguments {
		if short, known := long[argument]; known {
			argument = short
		}
		if len(argument) > 2 && argument[0] == '-' && strings.Trim(argument[1:], "sfkS") == "" {
			for _, letter := range argument[1:] {
				if letter != 'S' {
					result = append(result, "-"+string(letter))
				}
			}
			continue
		}
		result = append(result, argument)
	}
	return result
}
