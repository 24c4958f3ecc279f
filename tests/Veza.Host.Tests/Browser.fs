/// A browser at the console: it keeps its cookies and fills in forms.
module Veza.Host.Tests.Browser

open System
open System.Net
open System.Net.Http
open System.Text.RegularExpressions

type Browser(address: string) =
    let handler = new HttpClientHandler(AllowAutoRedirect = false, CookieContainer = CookieContainer())
    let http = new HttpClient(handler, BaseAddress = Uri address)

    let send (request: HttpRequestMessage) =
        task {
            use! response = http.SendAsync request
            let! page = response.Content.ReadAsStringAsync()
            return int response.StatusCode, page, response
        }

    /// Of this host or, by its whole address, of another one: to a browser they are one site behind a balancer.
    member _.Get(path: string, headers: (string * string) list) =
        task {
            use request = new HttpRequestMessage(HttpMethod.Get, path)
            for name, value in headers do
                request.Headers.Add(name, value)
            return! send request
        }

    member browser.Get(path: string) = browser.Get(path, [])

    /// Fills in the form as the page gave it, with its antiforgery token unless it is withheld.
    member browser.Submit
        (
            page: string,
            action: string,
            fields: (string * string) list,
            withToken: bool,
            headers: (string * string) list
        ) =
        task {
            let! _, html, _ = browser.Get page
            let token = Regex.Match(html, "__RequestVerificationToken\" value=\"([^\"]+)\"").Groups[1].Value
            let all =
                if withToken then
                    ("__RequestVerificationToken", token) :: fields
                else
                    fields
            use request =
                new HttpRequestMessage(HttpMethod.Post, action, Content = new FormUrlEncodedContent(dict all))
            for name, value in headers do
                request.Headers.Add(name, value)
            let! status, answer, response = send request
            return status, answer, response
        }

    /// The answer's status, its text, and where it leads.
    member browser.Submit(page, action, fields, withToken) =
        task {
            let! status, answer, response = browser.Submit(page, action, fields, withToken, [])
            return status, answer, string response.Headers.Location
        }

    member browser.SignIn(key: string) =
        browser.Submit("/console/sign-in", "/console/sign-in", [ "key", key ], true)

    interface IDisposable with
        member _.Dispose() = http.Dispose()
