-- What marks a conversation in a chat request: its JSON from the beginning of `messages` to the end of the first
-- message of the user. A client sends that again with every later question, so it names the conversation, and
-- nodes need to share nothing. Of a long first message (a picture) the first part is enough, always equally long:
-- how much of a request is in the buffer varies.
local longest = 32768

-- The index of the last byte of the JSON object that begins at `from`; nil if the text ends before.
local function object_end(text, from)
  local depth, at = 0, from
  while true do
    local i = text:find('["{}]', at)
    if not i then return nil end
    local c = text:sub(i, i)
    if c == '"' then
      -- To the end of the string; a backslash takes the next character with it.
      at = i + 1
      while true do
        local j = text:find('["\\]', at)
        if not j then return nil end
        at = j + 1
        if text:sub(j, j) == '"' then break end
        at = j + 2
      end
    else
      depth = depth + (c == "{" and 1 or -1)
      if depth == 0 then return i end
      at = i + 1
    end
  end
end

-- First and last byte of that part, and whether more messages follow ("yes", "no", "unknown").
local function beginning(text)
  local _, open = text:find('"messages"%s*:%s*%[')
  if not open then return nil end
  local at = open + 1
  while true do
    local from = text:find("%S", at)
    if not from or text:sub(from, from) ~= "{" then return nil end
    local last = object_end(text, from)
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
