module govectors

go 1.18
