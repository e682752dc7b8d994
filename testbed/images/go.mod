module continuo.dev/testbed/images

go 1.22
