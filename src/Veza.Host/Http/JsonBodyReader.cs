using System.Text.Json;
using Veza.Domain;

namespace Veza.Host.Http;

/// <summary>
/// Reads the fields of a JSON object and collects everything that is wrong with them, so that a caller hears of
/// all faults at once. Fields nobody asked for are faults too. An optional field may be left out; null is another thing,
/// and refused: what is meant by it would have to be guessed, and a guess may move money.
/// </summary>
sealed class JsonBodyReader
{
    /// <summary>Null if it is no object.</summary>
    readonly Dictionary<string, JsonElement>? members;
    readonly string path;
    readonly List<FieldError> errors;
    readonly HashSet<string> asked = [];

    public JsonBodyReader(JsonElement element, List<FieldError> errors)
        : this(element, "", errors) { }

    JsonBodyReader(JsonElement element, string path, List<FieldError> errors)
    {
        this.path = path;
        this.errors = errors;
        members = element.ValueKind == JsonValueKind.Object ? JsonBody.Members(element) : null;
    }

    public List<FieldError> Errors => errors;

    public void Fault(string field, string code, string detail) =>
        errors.Add(new(path + field, code, detail));

    /// <summary>Empty if it is missing or faulty.</summary>
    public string Text(string name, int most = 255)
    {
        if (Find(name) is not { } value)
        {
            Fault(name, "required", $"{name} is required.");
            return "";
        }

        return TextOf(name, value, most) ?? "";
    }

    public string? OptionalText(string name, int most = 255) =>
        Optional(name) is { } value ? TextOf(name, value, most) : null;

    /// <summary>Words that only people read: there, null says nothing, as leaving them out does.</summary>
    public string? TextOrNull(string name, int most = 255) =>
        Find(name) is { } value ? TextOf(name, value, most) : null;

    /// <summary>Whether it stands there, be it as null.</summary>
    public bool IsGiven(string name) => members?.ContainsKey(name) == true;

    public long Integer(string name, long least, long most)
    {
        if (Find(name) is { } value)
        {
            return IntegerOf(name, value, least, most) ?? 0;
        }

        Fault(name, "required", $"{name} is required.");
        return 0;
    }

    public long? OptionalInteger(string name, long least, long most) =>
        Optional(name) is { } value ? IntegerOf(name, value, least, most) : null;

    /// <summary>For the few fields in which null has a meaning of its own.</summary>
    public long? IntegerOrNull(string name, long least, long most) =>
        Find(name) is { } value ? IntegerOf(name, value, least, most) : null;

    public bool? OptionalFlag(string name)
    {
        if (Optional(name) is not { } value)
        {
            return null;
        }

        if (value.ValueKind is JsonValueKind.True or JsonValueKind.False)
        {
            return value.GetBoolean();
        }

        Fault(name, "not_a_flag", $"{name} must be true or false.");
        return null;
    }

    public DateTimeOffset? OptionalTime(string name)
    {
        if (Optional(name) is not { } value)
        {
            return null;
        }

        var text = value.ValueKind == JsonValueKind.String ? Texts.Exact(value) : "";
        var time = text is null ? null : Times.Parse(text);
        if (text is not null && time is null)
        {
            Fault(name, "not_a_time", $"{name} {Times.Rule}");
        }

        return time;
    }

    public Currency? Currency(string name)
    {
        var text = Text(name, 3);
        return text.Length == 0
            ? null
            : CurrencyModule
                .parse(text)
                .Match(
                    ok: Currency? (currency) => currency,
                    error: why =>
                    {
                        Fault(name, "unknown_currency", why);
                        return null;
                    }
                );
    }

    public IReadOnlyList<Guid>? OptionalIds(string name, int most) => OptionalList(name, most, "ids", IdOf);

    public IReadOnlyList<string>? OptionalTexts(string name, int most) =>
        OptionalList(name, most, "strings", (place, item) => TextOf(place, item, 255) ?? "");

    IReadOnlyList<T>? OptionalList<T>(string name, int most, string what, Func<string, JsonElement, T> read)
    {
        if (Optional(name) is not { } value)
        {
            return null;
        }

        if (
            value.ValueKind != JsonValueKind.Array
            || value.GetArrayLength() is 0
            || value.GetArrayLength() > most
        )
        {
            Fault(name, "not_a_list", $"{name} must be a list of 1 to {most} {what}.");
            return [];
        }

        return [.. value.EnumerateArray().Select((item, place) => read($"{name}[{place}]", item))];
    }

    public Guid Id(string name)
    {
        if (Find(name) is { } value)
        {
            return IdOf(name, value);
        }

        Fault(name, "required", $"{name} is required.");
        return Guid.Empty;
    }

    public IReadOnlyList<JsonBodyReader> Items(string name, int most)
    {
        if (Find(name) is not { } value)
        {
            Fault(name, "required", $"{name} is required.");
            return [];
        }

        if (value.ValueKind != JsonValueKind.Array || value.GetArrayLength() > most)
        {
            Fault(name, "not_a_list", $"{name} must be a list of at most {most} objects.");
            return [];
        }

        return
        [
            .. value
                .EnumerateArray()
                .Select((item, place) => new JsonBodyReader(item, $"{path}{name}[{place}].", errors)),
        ];
    }

    /// <summary>Null if it is missing or none of the words.</summary>
    public string? OneOf(string name, IReadOnlyList<string> words)
    {
        var text = Text(name);
        if (text.Length > 0 && !words.Contains(text))
        {
            Fault(name, "unknown_value", $"{name} must be one of {string.Join(", ", words)}.");
        }

        return text.Length > 0 ? text : null;
    }

    public string? OptionalOneOf(string name, IReadOnlyList<string> words) =>
        Optional(name) is null ? null : OneOf(name, words);

    public JsonBodyReader? Object(string name)
    {
        if (Find(name) is { } value)
        {
            return ObjectOf(name, value);
        }

        Fault(name, "required", $"{name} is required.");
        return null;
    }

    public JsonBodyReader? OptionalObject(string name) =>
        Optional(name) is { } value ? ObjectOf(name, value) : null;

    /// <summary>Strings by name, as Stripe's and Hyperswitch's metadata: at most 50, names of 40, values of 500.</summary>
    public string Metadata(string name)
    {
        if (Find(name) is not { } value || ObjectOf(name, value) is not { } entries)
        {
            return "{}";
        }

        foreach (var (entry, said) in entries.members!)
        {
            if (said.ValueKind != JsonValueKind.String || Texts.Exact(said) is { Length: > 500 })
            {
                entries.Fault(entry, "not_a_text", "must be a string of at most 500 characters.");
            }

            if (entry.Length is 0 or > 40)
            {
                entries.Fault(entry, "name_too_long", "must have a name of 1 to 40 characters.");
            }
        }

        if (entries.members.Count > 50)
        {
            Fault(name, "too_many", $"{name} must not have more than 50 entries.");
        }

        return value.GetRawText();
    }

    /// <summary>Call when everything known has been asked for.</summary>
    public void RefuseOthers()
    {
        if (members is null)
        {
            errors.Add(new(path.TrimEnd('.'), "not_an_object", "must be a JSON object."));
            return;
        }

        foreach (var name in members.Keys.Where(name => !asked.Contains(name)))
        {
            Fault(name, "unknown_field", $"there is no field '{name}' here.");
        }
    }

    /// <summary>Nothing where it is null, which for a required field is as good as missing.</summary>
    JsonElement? Find(string name)
    {
        asked.Add(name);
        return members?.TryGetValue(name, out var value) == true && value.ValueKind != JsonValueKind.Null
            ? value
            : null;
    }

    JsonElement? Optional(string name)
    {
        if (Find(name) is { } value)
        {
            return value;
        }

        if (IsGiven(name))
        {
            Fault(name, "is_null", $"{name} must not be null: leave it out, or say what it is to be.");
        }

        return null;
    }

    JsonBodyReader? ObjectOf(string name, JsonElement value)
    {
        if (value.ValueKind == JsonValueKind.Object)
        {
            return new JsonBodyReader(value, $"{path}{name}.", errors);
        }

        Fault(name, "not_an_object", $"{name} must be an object.");
        return null;
    }

    Guid IdOf(string name, JsonElement value)
    {
        var text = value.ValueKind == JsonValueKind.String ? Texts.Exact(value) : "";
        if (!Guid.TryParseExact(text, "D", out var id) && text is not null)
        {
            Fault(name, "not_an_id", $"{name} must be an id (UUID).");
        }

        return id;
    }

    string? TextOf(string name, JsonElement value, int most)
    {
        if (value.ValueKind != JsonValueKind.String)
        {
            Fault(name, "not_a_text", $"{name} must be a string.");
            return null;
        }

        if (Texts.Exact(value) is not { } text)
        {
            // Told when the body was read.
            return null;
        }

        if (string.IsNullOrWhiteSpace(text))
        {
            Fault(name, "blank", $"{name} must not be blank.");
            return null;
        }

        if (text.Length > most)
        {
            Fault(name, "too_long", $"{name} must not be longer than {most} characters.");
            return null;
        }

        return text;
    }

    long? IntegerOf(string name, JsonElement value, long least, long most)
    {
        if (value.ValueKind != JsonValueKind.Number || !value.TryGetInt64(out var number))
        {
            Fault(name, "not_an_integer", $"{name} must be a whole number.");
            return null;
        }

        if (number < least || number > most)
        {
            Fault(
                name,
                number < least ? "too_small" : "too_large",
                $"{name} must be from {least} to {most}."
            );
            return null;
        }

        return number;
    }
}
