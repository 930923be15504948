/* A python.exe for tests under wine: hands its arguments to a Unix program and waits for its end.

   The arguments and the working folder go, a line each and as UTF-8, into the file that the
   environment variable STAND_IN_JOB names; STAND_IN_PROGRAM is started, and its exit status is read
   from the job's file with ".status" appended, as wine tells no status of Unix programs. */

#include <stdio.h>
#include <windows.h>

static void put_line(FILE *file, const wchar_t *text)
{
    char bytes[16384];
    int length = WideCharToMultiByte(CP_UTF8, 0, text, -1, bytes, sizeof bytes, NULL, NULL);
    fwrite(bytes, 1, length > 0 ? length - 1 : 0, file);
    fputc('\n', file);
}

int wmain(int argc, wchar_t **argv)
{
    wchar_t folder[4096], status_path[4096], line[4096];
    const wchar_t *job = _wgetenv(L"STAND_IN_JOB");
    STARTUPINFOW start = {sizeof start};
    PROCESS_INFORMATION process;
    FILE *file = _wfopen(job, L"wb");
    int status = 1;

    GetCurrentDirectoryW(4096, folder);
    put_line(file, folder);
    for (int index = 1; index < argc; index++)
        put_line(file, argv[index]);
    fclose(file);
    wcscpy(line, L"program");
    if (!CreateProcessW(_wgetenv(L"STAND_IN_PROGRAM"), line, NULL, NULL, TRUE, 0, NULL, NULL,
                        &start, &process))
        return 99;
    swprintf(status_path, 4096, L"%ls.status", job);
    for (int wait = 0; wait < 600; wait++, Sleep(100))
        if ((file = _wfopen(status_path, L"rb")) != NULL) {
            if (fscanf(file, "%d", &status) == 1)
                return status;
            fclose(file);
        }
    return 98;
}
