# SPDX-License-Identifier: MIT
meta:
  id: goipc
  title: golang-ipc protocol, version 2
  license: MIT
  endian: be
  ks-version: '0.10'
doc: |
  One direction of a connection, from its first byte to its end: spec/goipc.md, Sections 6 to 10.
  Whether a client's stream is sealed is decided by the server's HELLO, so it has to be passed in;
  for a server's stream that parameter is not used. Sealed bodies stay sealed. Other than a peer,
  this grammar knows no limit (Section 11).
params:
  - id: from_server
    type: bool
  - id: client_sealed
    type: bool
seq:
  - id: hello
    type: hello
    if: from_server
  - id: hello_reply
    type: u1
    enum: reply
    valid:
      any-of: [reply::accepted]
    if: not from_server
  - id: public_key
    type: public_key
    if: sealed
  - id: limit
    type: limit(sealed)
    if: from_server
  - id: limit_reply
    type: u1
    if: not from_server
  - id: frames
    type: frame(sealed)
    repeat: eos
instances:
  sealed:
    value: 'from_server ? hello.flag == flag::sealed : client_sealed'
enums:
  flag:
    0: plain
    1: sealed
  reply:
    0: accepted
    1: version
    2: encryption
    3: no_reply
types:
  hello:
    seq:
      - id: version
        contents: [2]
      - id: flag
        type: u1
        enum: flag
        valid:
          any-of: [flag::plain, flag::sealed]
  public_key:
    doc: A P-384 point. That it is on the curve is not checked here.
    seq:
      - id: form
        contents: [4]
      - id: x
        size: 48
      - id: y
        size: 48
  limit:
    params:
      - id: sealed
        type: bool
    seq:
      - id: length
        type: u4
        valid: 'sealed ? 32 : 4'
      - id: plain
        type: u4
        if: not sealed
      - id: body
        type: sealed_body(length)
        if: sealed
  frame:
    params:
      - id: sealed
        type: bool
    seq:
      - id: length
        type: u4
        valid:
          min: 'sealed ? 32 : 4'
      - id: plain
        type: plain_body(length)
        if: not sealed
      - id: body
        type: sealed_body(length)
        if: sealed
  plain_body:
    params:
      - id: length
        type: u4
    seq:
      - id: type
        type: u4
      - id: data
        size: length - 4
  sealed_body:
    params:
      - id: length
        type: u4
    seq:
      - id: nonce
        size: 12
      - id: ciphertext
        size: length - 28
      - id: tag
        size: 16
