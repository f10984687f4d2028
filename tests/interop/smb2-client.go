// SPDX-License-Identifier: LGPL-2.1-or-later

// The life of some files through go-smb2, which is neither Samba's nor ours: smb2-client ADDRESS SHARE USER PASSWORD DIALECT.
// Prints the names of the shares; the first thing that is not as it should be ends it with 1.
package main

import (
	"bytes"
	"fmt"
	"io"
	"math/rand"
	"net"
	"os"
	"sort"
	"strconv"
	"strings"
	"time"

	"github.com/hirochachacha/go-smb2"
)

func must(err error) {
	if err != nil {
		panic(err)
	}
}

func want(is bool, what string) {
	if !is {
		panic(what)
	}
}

// Several credits and several requests, there and back; under another name; shortened.
func data(fs *smb2.Share) {
	bytesOut := make([]byte, 1<<20+4321)
	rand.Read(bytesOut)
	must(fs.WriteFile("a.bin", bytesOut, 0644))
	back, err := fs.ReadFile("A.BIN")
	must(err)
	want(bytes.Equal(back, bytesOut), "other bytes come back")
	must(fs.MkdirAll(`Größe\inner`, 0755))
	must(fs.Rename("a.bin", `Größe\inner\b.bin`))
	must(fs.Truncate(`GRÖßE\inner\b.bin`, 100))
	back, err = fs.ReadFile(`Größe\inner\b.bin`)
	must(err)
	want(bytes.Equal(back, bytesOut[:100]), "not shortened")
}

func attributes(fs *smb2.Share) {
	name := `Größe\inner\b.bin`
	must(fs.Chmod(name, 0444))
	want(fs.WriteFile(name, []byte("x"), 0644) != nil, "a read-only file is written")
	must(fs.Chmod(name, 0644))
	then := time.Date(2001, 2, 3, 4, 5, 6, 0, time.UTC)
	must(fs.Chtimes(name, then, then))
	info, err := fs.Stat(name)
	must(err)
	want(info.ModTime().Equal(then) && info.Size() == 100 && !info.IsDir(), "other attributes come back")
}

// Beyond the end, copied by the server, listed, found by a pattern.
func placesAndLists(fs *smb2.Share) {
	f, err := fs.Create("c.txt")
	must(err)
	_, err = f.WriteAt([]byte("hello"), 1000)
	must(err)
	_, err = f.Seek(0, io.SeekEnd)
	must(err)
	from, err := fs.Open(`Größe\inner\b.bin`)
	must(err)
	n, err := io.Copy(f, from)
	must(err)
	want(n == 100, "not all is copied")
	must(from.Close())
	must(f.Close())
	back, err := fs.ReadFile("c.txt")
	must(err)
	want(len(back) == 1105 && string(back[:1005]) == strings.Repeat("\x00", 1000)+"hello", "other bytes at other places")
	infos, err := fs.ReadDir(".")
	must(err)
	want(len(infos) == 2 && infos[0].Name() == "Größe" == infos[0].IsDir(), "another listing")
	found, err := fs.Glob("*.txt")
	must(err)
	want(len(found) == 1 && found[0] == "c.txt", "the pattern finds something else")
}

func links(fs *smb2.Share) {
	must(fs.Symlink("c.txt", "link"))
	target, err := fs.Readlink("link")
	must(err)
	want(target == "c.txt", "the link leads elsewhere")
	back, err := fs.ReadFile("link")
	must(err)
	want(len(back) == 1105, "another file behind the link")
	must(fs.Remove("link"))
}

func removal(fs *smb2.Share) {
	must(fs.RemoveAll("Größe"))
	must(fs.Remove("c.txt"))
	_, err := fs.Stat("c.txt")
	want(os.IsNotExist(err), "a removed file is still there")
	infos, err := fs.ReadDir(".")
	must(err)
	want(len(infos) == 0, "something is left")
}

func main() {
	defer func() {
		if why := recover(); why != nil {
			fmt.Println(why)
			os.Exit(1)
		}
	}()
	dialect, err := strconv.ParseUint(os.Args[5], 0, 16)
	must(err)
	conn, err := net.Dial("tcp", os.Args[1])
	must(err)
	dialer := &smb2.Dialer{
		Negotiator: smb2.Negotiator{RequireMessageSigning: true, SpecifiedDialect: uint16(dialect)},
		Initiator:  &smb2.NTLMInitiator{User: os.Args[3], Password: os.Args[4]},
	}
	session, err := dialer.Dial(conn)
	must(err)
	shares, err := session.ListSharenames()
	must(err)
	sort.Strings(shares)
	fmt.Println(strings.Join(shares, " "))
	fs, err := session.Mount(os.Args[2])
	must(err)
	data(fs)
	attributes(fs)
	placesAndLists(fs)
	links(fs)
	removal(fs)
	must(fs.Umount())
	must(session.Logoff())
}
