package linker

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
)

// Frames of the link protocol: see src/link/PROTOCOL.md of pullproxy.
const (
	fHello = iota
	fChallenge
	fProof
	fWelcome
	fRefuse
	fGrant
	fRecall
	fReturn
	fMove
	fMoveFailed
	fOpen
	fData
	fEnd
	fReset
	fWindow
	fDone
	fNewest
	fPing
	fPong
	fGoaway
	fRetire
	fRetireAnswer
	fState
)

const (
	flagKeep    = 1
	flagFresh   = 1
	flagYes     = 1
	flagAnew    = 1
	flagTooLate = 2
	flagReached = 1

	resetClosed    = 0
	resetAppClosed = 2

	payloadBytesMax          = 65_536
	handshakePayloadBytesMax = 4_096
	windowBytes              = 524_288
	addressBytesMax          = 260
)

type frame struct {
	kind, flags byte
	stream      uint32
	payload     []byte
}

func appendFrame(to []byte, kind, flags byte, stream uint32, payload []byte) []byte {
	to = binary.BigEndian.AppendUint32(to, uint32(kind)<<27|uint32(flags)<<24|uint32(len(payload)))
	to = binary.BigEndian.AppendUint32(to, stream)
	return append(to, payload...)
}

func number(value int) []byte { return binary.BigEndian.AppendUint32(nil, uint32(value)) }

func readNumber(payload []byte) (int, error) {
	if len(payload) != 4 {
		return 0, fmt.Errorf("a number of %d bytes, expected 4", len(payload))
	}
	return int(binary.BigEndian.Uint32(payload)), nil
}

func readMove(payload []byte) (int, string, error) {
	if len(payload) < 5 || len(payload) > 4+addressBytesMax {
		return 0, "", fmt.Errorf("MOVE without an address")
	}
	return int(binary.BigEndian.Uint32(payload)), string(payload[4:]), nil
}

// readFrame reuses no memory: the payload is the caller's.
func readFrame(from io.Reader, bytesMax int) (frame, error) {
	var head [8]byte
	if _, err := io.ReadFull(from, head[:]); err != nil {
		return frame{}, err
	}
	first := binary.BigEndian.Uint32(head[:])
	length := int(first & 0xffffff)
	if length > bytesMax {
		return frame{}, protocolError(fmt.Sprintf("frame of %d bytes, at most %d are allowed", length, bytesMax))
	}
	read := frame{kind: byte(first >> 27), flags: byte(first>>24) & 7, stream: binary.BigEndian.Uint32(head[4:])}
	if length > 0 {
		read.payload = make([]byte, length)
		if _, err := io.ReadFull(from, read.payload); err != nil {
			return frame{}, err
		}
	}
	return read, nil
}

// protocolError is what the node did wrong: it is told, and the link ends.
type protocolError string

func (e protocolError) Error() string { return string(e) }

func random(bytes int) string {
	made := make([]byte, bytes)
	if _, err := rand.Read(made); err != nil {
		panic(err)
	}
	return base64.RawURLEncoding.EncodeToString(made)
}

func newInstanceID() string {
	const signs = "abcdefghijklmnopqrstuvwxyz0123456789"
	made := make([]byte, 16)
	if _, err := rand.Read(made); err != nil {
		panic(err)
	}
	for i, b := range made {
		made[i] = signs[int(b)%len(signs)]
	}
	return string(made)
}

// prove shows the secret over the payloads as they were sent. channel: RFC 9266, empty without TLS.
func prove(secret, role string, hello, challenge, channel []byte) string {
	digest := sha256.New()
	io.WriteString(digest, "pullproxy link 2\n")
	for _, part := range [][]byte{hello, challenge, channel} {
		fmt.Fprintf(digest, "%d\n", len(part))
		digest.Write(part)
	}
	proof := hmac.New(sha256.New, []byte(secret))
	io.WriteString(proof, role+"\n")
	proof.Write(digest.Sum(nil))
	return base64.RawURLEncoding.EncodeToString(proof.Sum(nil))
}

func jsonOf(value any) []byte {
	made, err := json.Marshal(value)
	if err != nil {
		panic(err)
	}
	return made
}

type hello struct {
	V           int      `json:"v"`
	Max         int      `json:"max"`
	Can         []string `json:"can"`
	Route       string   `json:"route"`
	Instance    string   `json:"instance"`
	Seq         int64    `json:"seq"`
	TakesOrder  bool     `json:"takesOrder"`
	Order       int64    `json:"order,omitempty"`
	Concurrency int      `json:"concurrency"`
	StartID     string   `json:"startId,omitempty"`
	Version     string   `json:"version"`
	At          string   `json:"at,omitempty"`
	Nonce       string   `json:"nonce"`
}

type challenge struct {
	V    int    `json:"v"`
	Node string `json:"node"`
}

type proof struct {
	Proof string `json:"proof"`
}

type state struct {
	Home   bool   `json:"home"`
	State  string `json:"state"`
	Active int    `json:"active"`
	Order  int64  `json:"order,omitempty"`
}

type refusal struct {
	Reason string `json:"reason"`
}
