// A Go application that takes as many requests at once as it has workers, and says so in each response. It listens at $PORT.
package main

import (
	"log"
	"net/http"
	"os"
	"runtime"
	"strconv"
)

func main() {
	workers := strconv.Itoa(2 * runtime.NumCPU())
	http.HandleFunc("/", func(response http.ResponseWriter, request *http.Request) {
		// pullproxy takes the field out: no client sees it.
		response.Header().Set("Pullproxy-Concurrency", workers)
		response.Write([]byte("ok\n"))
	})
	log.Fatal(http.ListenAndServe("127.0.0.1:"+os.Getenv("PORT"), nil))
}
