module pullproxy.dev/linker

go 1.19
