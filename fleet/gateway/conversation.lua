-- What marks a conversation in a chat request of any dialect: its JSON from the beginning of `messages` (OpenAI,
-- Anthropic, Ollama) or `input` (OpenAI's Responses) to the end of the first message of the user. A client sends that
-- again with every later question, so it names the conversation, and nodes need to share nothing. Of a long first
-- message (a picture) the first part is enough, always equally long: how much of a request is in the buffer varies.
local longest = 32768

-- The index of the last byte of the JSON text, object or list that begins at `from`; nil if the text ends before.
local function value_end(text, from)
  local depth, at = 0, from
  while true do
    local i = text:find('["{}%[%]]', at)
    if not i then return nil end
    local c = text:sub(i, i)
    at = i + 1
    if c == '"' then
      -- To the end of the string; a backslash takes the next character with it.
      while true do
        local j = text:find('["\\]', at)
        if not j then return nil end
        at = j + 1
        if text:sub(j, j) == '"' then break end
        at = j + 2
      end
    else
      depth = depth + ((c == "{" or c == "[") and 1 or -1)
    end
    if depth == 0 then return at - 1 end
  end
end

-- Where the value of one of these fields of the request begins. Else nil, and whether the text ends before the request
-- does, or cannot be read at all (compressed).
local function field(text, names)
  local at = text:match("^[\239\187\191]*%s*{()")
  while at do
    local key, value = text:match('^%s*"([^"\\]*)"%s*:%s*()', at)
    if not key then return nil, not text:find("^%s*}", at) end
    if names[key] then return value end
    local last
    if text:find('^["{%[]', value) then
      last = value_end(text, value)
    else
      last = text:match("^[^,}]*()", value) - 1
    end
    at = last and text:match("^%s*,()", last + 1)
    if not at then return nil, not (last and text:find("^%s*}", last + 1)) end
  end
  return nil, true
end

-- First and last byte of that part, and whether more messages follow ("yes", "no", "unknown").
local function beginning(text)
  local open = field(text, { messages = true, input = true })
  if not open or text:sub(open, open) ~= "[" then return nil end
  local at = open + 1
  while true do
    local from = text:find("%S", at)
    if not from or text:sub(from, from) ~= "{" then return nil end
    local last = value_end(text, from)
    if not last then return open, #text, "unknown" end
    local after = text:match("^%s*(.)", last + 1)
    if text:sub(from, last):find('"role"%s*:%s*"user"') then
      return open, last, after == "," and "yes" or "no"
    end
    if after ~= "," then return nil end
    at = text:find(",", last + 1, true) + 1
  end
end

core.register_converters("conversation", function(text)
  local first, last = beginning(text)
  return first and text:sub(first, math.min(last, first + longest)) or ""
end)

core.register_converters("follows", function(text)
  local first, _, follows = beginning(text)
  return first and follows or "no"
end)

-- The answer that a request of the Responses API goes on from: its id, "none", or "unknown" where the id may stand in
-- the part of a long request that is not in the buffer.
core.register_converters("answer", function(text)
  local at, cut = field(text, { previous_response_id = true })
  if not at then return cut and "unknown" or "none" end
  return text:match('^"([%w_-]+)"', at) or "none"
end)
