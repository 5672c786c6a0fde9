-- SPDX-License-Identifier: MIT
--
-- Wireshark dissector for the golang-ipc protocol, version 2 (spec/goipc.md).
--
-- A Unix domain socket cannot be captured like a network, so captures come from tools that pass the
-- bytes on or write them down. The form, in pcap or pcapng with the link type USER0 (147): each
-- record is the number of the connection (4 bytes, most significant first), the direction (1 byte:
-- 0 from the server, 1 from the client), three zero bytes, and then bytes of the stream as they came,
-- in pieces of any size. A record without bytes is the end of its direction.
--
-- usage: wireshark -X lua_script:goipc.lua FILE

local goipc = Proto("goipc", "golang-ipc protocol")

local ROLE = { [0] = "server", [1] = "client" }
local FLAG = { [0] = "plain", [1] = "sealed" }
local REPLY = { [0] = "accepted", [1] = "version", [2] = "encryption", [3] = "no reply" }

local f = {
  connection = ProtoField.uint32("goipc.connection", "Connection"),
  from = ProtoField.uint8("goipc.from", "From", base.DEC, ROLE),
  message = ProtoField.string("goipc.message", "Message"),
  version = ProtoField.uint8("goipc.version", "Version"),
  flag = ProtoField.uint8("goipc.flag", "Flag", base.DEC, FLAG),
  reply = ProtoField.uint8("goipc.reply", "Reply", base.DEC, REPLY),
  key = ProtoField.bytes("goipc.key", "Public key"),
  length = ProtoField.uint32("goipc.length", "Length"),
  limit = ProtoField.uint32("goipc.limit", "Limit"),
  type = ProtoField.uint32("goipc.type", "Type"),
  data = ProtoField.bytes("goipc.data", "Data"),
  nonce = ProtoField.bytes("goipc.nonce", "Nonce"),
  ciphertext = ProtoField.bytes("goipc.ciphertext", "Ciphertext"),
  tag = ProtoField.bytes("goipc.tag", "Tag"),
}
goipc.fields = f

local malformed = ProtoExpert.new("goipc.malformed", "Malformed", expert.group.MALFORMED,
  expert.severity.ERROR)
local refused = ProtoExpert.new("goipc.refused", "Refused", expert.group.RESPONSE_CODE,
  expert.severity.WARN)
goipc.experts = { malformed, refused }

local SERVER, CLIENT = 0, 1
local HEADER_SIZE = 8
local HELLO_SIZE, REPLY_SIZE, KEY_SIZE, LENGTH_SIZE = 2, 1, 97, 4
local OVERHEAD = { [false] = 4, [true] = 32 }

-- Connections by number, and what each record of the capture completed. Filled in the first pass over
-- the capture, in which the records come in order; read in every later one.
local connections, completed

function goipc.init()
  connections, completed = {}, {}
end

-- What a direction sends next, by its direction and how many messages it has completed.
local function expected(connection, direction, count)
  local sealed = connection.sealed
  if direction == SERVER then
    if count == 0 then return "HELLO" end
    if sealed and count == 1 then return "SERVER_KEY" end
    if count == (sealed and 2 or 1) then return "LIMIT" end
  else
    if count == 0 then return "HELLO_REPLY" end
    if sealed and count == 1 then return "CLIENT_KEY" end
    if count == (sealed and 2 or 1) then return "LIMIT_REPLY" end
  end
  return "FRAME"
end

-- The size of the message at the head of the bytes, or nil when more bytes are needed to know it, and
-- a complaint about it.
local function size_of(name, bytes, sealed)
  if name == "HELLO" then return HELLO_SIZE end
  if name == "HELLO_REPLY" or name == "LIMIT_REPLY" then return REPLY_SIZE end
  if name == "SERVER_KEY" or name == "CLIENT_KEY" then return KEY_SIZE end
  if bytes:len() < LENGTH_SIZE then return nil end
  local length = bytes:uint(0, LENGTH_SIZE)
  if name == "LIMIT" and length ~= OVERHEAD[sealed] then
    return LENGTH_SIZE, "length of LIMIT"
  end
  if length < OVERHEAD[sealed] then return LENGTH_SIZE, "length too small" end
  return LENGTH_SIZE + length
end

-- ByteArray:uint is not in every version.
local function uint(bytes, at, size)
  local value = 0
  for i = at, at + size - 1 do
    value = value * 256 + bytes:get_index(i)
  end
  return value
end

local Bytes = {}
Bytes.__index = Bytes
function Bytes:len() return self.array:len() end
function Bytes:uint(at, size) return uint(self.array, at, size) end

-- Takes the bytes of one record in, and gives the messages that they completed.
local function collect(number, direction, chunk)
  local connection = connections[number]
  if connection == nil then
    connection = { sealed = false, [SERVER] = { count = 0 }, [CLIENT] = { count = 0 } }
    connection[SERVER].bytes, connection[CLIENT].bytes = ByteArray.new(), ByteArray.new()
    connections[number] = connection
  end
  local side = connection[direction]
  local done = {}
  if side.failed then return done end
  if chunk:len() == 0 then
    if side.bytes:len() > 0 then
      table.insert(done, { name = "CUT", bytes = side.bytes, sealed = connection.sealed,
        complaint = "the stream ends inside a message" })
      side.failed = true
    end
    return done
  end
  side.bytes:append(chunk)
  while side.bytes:len() > 0 do
    local name = expected(connection, direction, side.count)
    local view = setmetatable({ array = side.bytes }, Bytes)
    local size, complaint = size_of(name, view, connection.sealed)
    if size == nil or side.bytes:len() < size then break end
    local bytes = side.bytes:subset(0, size)
    side.count = side.count + 1
    if name == "HELLO" then connection.sealed = bytes:get_index(1) == 1 end
    if side.bytes:len() == size then
      side.bytes = ByteArray.new()
    else
      side.bytes = side.bytes:subset(size, side.bytes:len() - size)
    end
    table.insert(done, { name = name, bytes = bytes, sealed = connection.sealed,
      complaint = complaint })
    if complaint then
      side.failed = true
      break
    end
  end
  return done
end

local function show_body(tree, range, message, size)
  if size == nil or size <= LENGTH_SIZE then return end
  if message.sealed then
    tree:add(f.nonce, range(4, 12))
    tree:add(f.ciphertext, range(16, size - 32))
    tree:add(f.tag, range(size - 16, 16))
  elseif message.name == "LIMIT" then
    tree:add(f.limit, range(4, 4))
  else
    tree:add(f.type, range(4, 4))
    if size > 8 then tree:add(f.data, range(8, size - 8)) end
  end
end

local function show(tree, message)
  local range = message.bytes:tvb(message.name)
  local size = message.bytes:len()
  local branch = tree:add(goipc, range(), message.name)
  branch:add(f.message, message.name)
  if message.name == "HELLO" then
    branch:add(f.version, range(0, 1))
    branch:add(f.flag, range(1, 1))
  elseif message.name == "HELLO_REPLY" or message.name == "LIMIT_REPLY" then
    branch:add(f.reply, range(0, 1))
    if message.name == "HELLO_REPLY" and message.bytes:get_index(0) ~= 0 then
      branch:add_proto_expert_info(refused)
    end
  elseif message.name == "SERVER_KEY" or message.name == "CLIENT_KEY" then
    branch:add(f.key, range(0, KEY_SIZE))
    if message.bytes:get_index(0) ~= 4 then
      branch:add_proto_expert_info(malformed, "not an uncompressed point")
    end
  elseif message.name ~= "CUT" then
    branch:add(f.length, range(0, LENGTH_SIZE))
    show_body(branch, range, message, size)
  end
  if message.complaint then branch:add_proto_expert_info(malformed, message.complaint) end
end

function goipc.dissector(tvb, pinfo, tree)
  if tvb:len() < HEADER_SIZE then return 0 end
  local number, direction = tvb(0, 4):uint(), tvb(4, 1):uint()
  if ROLE[direction] == nil then return 0 end
  if not pinfo.visited then
    local chunk = ByteArray.new()
    if tvb:len() > HEADER_SIZE then chunk = tvb(HEADER_SIZE):bytes() end
    completed[pinfo.number] = collect(number, direction, chunk)
  end
  pinfo.cols.protocol = "goipc"
  pinfo.cols.src = ROLE[direction]
  pinfo.cols.dst = ROLE[1 - direction]
  local root = tree:add(goipc, tvb())
  root:add(f.connection, tvb(0, 4))
  root:add(f.from, tvb(4, 1))
  local names = {}
  for _, message in ipairs(completed[pinfo.number] or {}) do
    table.insert(names, message.name)
    show(root, message)
  end
  pinfo.cols.info = #names > 0 and table.concat(names, ", ") or "(part of a message)"
  return tvb:len()
end

DissectorTable.get("wtap_encap"):add(wtap.USER0, goipc)
