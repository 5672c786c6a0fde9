module goipc-interop/peer

go 1.18
