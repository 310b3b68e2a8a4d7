--[[
What weft leaves readable of its datagrams, for Wireshark and tshark: docs/WIRE.md sections 4, 6 and 10. Everything else is ciphertext.

  tshark -X lua_script:docs/wireshark/weft.lua -r FILE          wireshark -X lua_script:docs/wireshark/weft.lua FILE

or put it into the folder that Help, About Wireshark, Folders calls "Personal Lua Plugins". The ports are preferences of both protocols.
]]

local sealed = Proto("weft", "weft sealed datagram")
local gossip = Proto("weft.gossip", "weft membership")

local TYPES = { [1] = "handshake, first message", [2] = "handshake, second message", [3] = "cookie reply", [4] = "sealed", [5] = "reset" }
local SUITES = { [1] = "ChaCha20-Poly1305", [2] = "AES-256-GCM" }
local INNER = { [0] = "control", [1] = "VXLAN", [2] = "Geneve" }
local GOSSIP_TYPES = { [16] = "gossip", [17] = "introduction" }
local TAG_BYTES = 16

local f = {
  type = ProtoField.uint8("weft.type", "Type", base.DEC, TYPES),
  suite = ProtoField.uint8("weft.suite", "Suite", base.DEC, SUITES),
  inner = ProtoField.uint8("weft.inner", "Inner protocol", base.DEC, INNER),
  flags = ProtoField.uint8("weft.flags", "Flags", base.HEX),
  listener = ProtoField.bool("weft.flags.listener", "Sent from the listening socket", 8, nil, 0x01),
  index = ProtoField.uint32("weft.index", "Receiver index", base.HEX),
  lane = ProtoField.uint8("weft.lane", "Lane", base.DEC),
  counter = ProtoField.uint64("weft.counter", "Counter", base.DEC),
  ciphertext = ProtoField.bytes("weft.ciphertext", "Ciphertext"),
  tag = ProtoField.bytes("weft.tag", "Tag"),
  body = ProtoField.bytes("weft.body", "Body"),
  token = ProtoField.bytes("weft.token", "Token"),
}
sealed.fields = { f.type, f.suite, f.inner, f.flags, f.listener, f.index, f.lane, f.counter, f.ciphertext, f.tag, f.body, f.token }
sealed.prefs.port = Pref.uint("UDP port", 7947, "where agents listen for sealed datagrams")

local g = {
  type = ProtoField.uint8("weft.gossip.type", "Type", base.DEC, GOSSIP_TYPES),
  version = ProtoField.uint8("weft.gossip.version", "Version", base.DEC),
  sender = ProtoField.bytes("weft.gossip.sender", "Sender (first 8 bytes of the node id)", base.COLON),
  receiver = ProtoField.bytes("weft.gossip.receiver", "Receiver (first 8 bytes of the node id)", base.COLON),
  nonce = ProtoField.bytes("weft.gossip.nonce", "Nonce"),
  box = ProtoField.bytes("weft.gossip.box", "Ciphertext"),
}
gossip.fields = { g.type, g.version, g.sender, g.receiver, g.nonce, g.box }
gossip.prefs.port = Pref.uint("UDP port", 7946, "where agents listen for gossip")

local function dissect_sealed(buffer, tree, info)
  local length = buffer:len()
  tree:add(f.suite, buffer(1, 1))
  tree:add(f.inner, buffer(2, 1))
  tree:add(f.flags, buffer(3, 1))
  tree:add(f.listener, buffer(3, 1))
  tree:add(f.index, buffer(4, 4))
  local lane = buffer(7, 1):uint() % 16
  tree:add(f.lane, buffer(7, 1), lane)
  tree:add(f.counter, buffer(8, 8))
  local kind = INNER[buffer(2, 1):uint()] or "unknown"
  info.cols.info = string.format("%s, index 0x%08x, lane %d, counter %s", kind, buffer(4, 4):uint(), lane, tostring(buffer(8, 8):uint64()))
  -- What was cut, or shown of a dropped datagram, ends here.
  if length < 16 + TAG_BYTES then return end
  if length > 16 + TAG_BYTES then tree:add(f.ciphertext, buffer(16, length - 16 - TAG_BYTES)) end
  tree:add(f.tag, buffer(length - TAG_BYTES, TAG_BYTES))
end

function sealed.dissector(buffer, info, root)
  local length = buffer:len()
  if length < 1 then return 0 end
  local type = buffer(0, 1):uint()
  if TYPES[type] == nil then return 0 end
  info.cols.protocol = "weft"
  local tree = root:add(sealed, buffer(), "weft, " .. TYPES[type])
  tree:add(f.type, buffer(0, 1))
  info.cols.info = TYPES[type]
  if type == 4 and length >= 16 then
    dissect_sealed(buffer, tree, info)
  elseif type == 5 and length >= 24 then
    tree:add(f.index, buffer(4, 4))
    tree:add(f.token, buffer(8, 16))
    info.cols.info = string.format("reset of index 0x%08x", buffer(4, 4):uint())
  elseif length > 1 then
    tree:add(f.body, buffer(1, length - 1))
  end
  return length
end

function gossip.dissector(buffer, info, root)
  local length = buffer:len()
  if length < 4 then return 0 end
  local type = buffer(0, 1):uint()
  if GOSSIP_TYPES[type] == nil then return 0 end
  info.cols.protocol = "weft gossip"
  info.cols.info = GOSSIP_TYPES[type]
  local tree = root:add(gossip, buffer(), "weft membership, " .. GOSSIP_TYPES[type])
  tree:add(g.type, buffer(0, 1))
  tree:add(g.version, buffer(1, 1))
  local at = 4
  if type == 16 and length >= 20 then
    tree:add(g.sender, buffer(4, 8))
    tree:add(g.receiver, buffer(12, 8))
    info.cols.info = string.format("%s > %s", tostring(buffer(4, 8):bytes()), tostring(buffer(12, 8):bytes()))
    at = 20
  end
  if length >= at + 24 then
    tree:add(g.nonce, buffer(at, 24))
    if length > at + 24 then tree:add(g.box, buffer(at + 24, length - at - 24)) end
  end
  return length
end

-- The ports that are registered now: a preference may change them.
local registered = {}

local function register(proto, port)
  local ports = DissectorTable.get("udp.port")
  if registered[proto.name] ~= nil then ports:remove(registered[proto.name], proto) end
  ports:add(port, proto)
  registered[proto.name] = port
end

function sealed.prefs_changed() register(sealed, sealed.prefs.port) end
function gossip.prefs_changed() register(gossip, gossip.prefs.port) end
register(sealed, sealed.prefs.port)
register(gossip, gossip.prefs.port)
