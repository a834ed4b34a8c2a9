-- One node after the other: who may leave service for an upgrade, and requests that come while none is in it.
--
-- A turn belongs to one node until it gives it back or its time is over. It lives in this process: after a reload
-- of the gateway it is free, and then the nodes that are in service count: never the last one gets a turn.
local longest_turn = 3600
local most_waiting = 256
local poll_ms = 250

local holder, ends = nil, 0
local waiting = 0

-- Seconds of HAProxy's own clock, which does not jump.
local function seconds_now()
  local now = core.now()
  return now.sec + now.usec / 1000000
end

-- How many nodes answer for each service, the fewest of them, and how many are known.
local function in_service()
  local fewest, known = nil, 0
  for name, backend in pairs(core.backends) do
    if name:match("^hailo%-%l+$") then
      local count = 0
      for _ in pairs(backend.servers) do count = count + 1 end
      known = math.max(known, count)
      local now = backend:get_srv_act()
      fewest = fewest and math.min(fewest, now) or now
    end
  end
  return fewest or 0, known
end

local function take(node, seconds)
  local now = seconds_now()
  if holder and holder ~= node and now < ends then return 409, "it is the turn of " .. holder end
  local ready, known = in_service()
  -- Who had it may go on with it, with whatever became of the others.
  if holder ~= node and known > 1 and ready < 2 then return 409, "no other node is in service" end
  holder, ends = node, now + seconds
  return 200, "the turn is yours for " .. seconds .. " s"
end

local function give_back(node)
  if holder == node then holder, ends = nil, 0 end
  return 200, "the turn is free"
end

local function answer(applet, status, text)
  applet:set_status(status)
  applet:add_header("content-type", "text/plain")
  applet:add_header("content-length", #text + 1)
  applet:start_response()
  applet:send(text .. "\n")
end

-- GET /turn/take/NODE/SECONDS and /turn/back/NODE.
core.register_service("turns", "http", function(applet)
  local node, seconds = applet.path:match("^/turn/take/([%w._-]+)/(%d+)$")
  seconds = tonumber(seconds)
  if node and #node <= 64 and seconds > 0 and seconds <= longest_turn then
    return answer(applet, take(node, seconds))
  end
  node = applet.path:match("^/turn/back/([%w._-]+)$")
  if node then return answer(applet, give_back(node)) end
  answer(applet, 404, "/turn/take/NODE/SECONDS or /turn/back/NODE")
end)

-- await_node SERVICE SECONDS: while no node is in service, a request waits here; so many, and so long.
core.register_action("await_node", { "http-req" }, function(_, service, seconds)
  local backend, deadline = core.backends[service], seconds_now() + tonumber(seconds)
  if waiting >= most_waiting then return end
  waiting = waiting + 1
  while backend:get_srv_act() == 0 and seconds_now() < deadline do core.msleep(poll_ms) end
  waiting = waiting - 1
end, 2)
