namespace Veza.Host.AdminConsole;

/// <summary>
/// What a form has done, told once on the page that follows it: a cookie holds its word until that page is shown. The
/// live refresh of another page does not use it up.
/// </summary>
sealed record Notice(string Text, string Tone)
{
    const string Cookie = "veza_notice";

    static readonly Dictionary<string, Notice> Notices = new()
    {
        ["retry_requested"] = new("You have asked for a new try.", "good"),
        ["redirected"] = new("You have redirected it to the seller's present account.", "good"),
        ["written_off"] = new("You have written it off.", "good"),
        ["replay_requested"] = new(
            "You have asked to process the webhook again. If it has no effect again, it comes back here.",
            "good"
        ),
        ["dismissed"] = new("You have closed the webhook.", "good"),
        ["resolved"] = new("You have marked the difference as resolved.", "good"),
        ["return_requested"] = new("You have asked to give the money back. See how it stands now.", "good"),
        ["overtaken"] = new(
            "Nothing was done: it has changed since you opened the page. What you see now is how it stands.",
            "warn"
        ),
        ["note_invalid"] = new(
            "Nothing was done: say why, in 1 to 1000 characters that can be read.",
            "warn"
        ),
        ["signed_out"] = new("You are signed out.", "good"),
        ["signed_out_meanwhile"] = new(
            "You were signed out meanwhile, so nothing was done. Sign in, and do it again.",
            "warn"
        ),
    };

    public static void Leave(HttpContext context, string word) =>
        context.Response.Cookies.Append(
            Cookie,
            word,
            new()
            {
                HttpOnly = true,
                SameSite = SameSiteMode.Strict,
                Secure = context.Request.IsHttps,
                MaxAge = TimeSpan.FromMinutes(1),
            }
        );

    /// <summary>Null if there is nothing to tell.</summary>
    public static Notice? Take(HttpContext context)
    {
        if (
            context.Request.Headers.ContainsKey("X-Live-Refresh")
            || context.Request.Cookies[Cookie] is not { } word
        )
        {
            return null;
        }

        context.Response.Cookies.Delete(Cookie);
        return Notices.GetValueOrDefault(word);
    }
}
